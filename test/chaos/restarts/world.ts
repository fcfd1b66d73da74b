import { rmSync } from "node:fs";
import { type LocalMesh, startLocalMesh } from "../../../scripts/local-mesh.ts";
import type { NodeProcess } from "../../../scripts/node-process.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { Balancer } from "../../support/balancer.ts";
import type { Answer } from "../../support/client.ts";
import { freePort } from "../../support/processes.ts";

/** What a round of load came to. */
export interface Outcome {
	requests: number;
	/** Requests that a gateway's end made the client send again. */
	retries: number;
	/** What was answered with anything but success, as `POST 503`. */
	failed: string[];
	/** Notes that were acknowledged and are not there, or are there twice. */
	lost: number;
	doubled: number;
}

interface Login {
	token: string;
}

/** Longer than the balancer of the tests takes to see that a gateway drains. */
const NOTICE_MS = "300";

/** A whole mesh with two nodes of each service, two gateways among them, and a client that reads and writes all the time. */
export class RestartWorld {
	readonly mesh: LocalMesh;
	readonly balancer: Balancer;
	readonly #nodes: Map<string, NodeProcess>;
	readonly #ports: Map<string, number>;
	readonly #dataDir: string;

	private constructor(mesh: LocalMesh, ports: Map<string, number>, dataDir: string) {
		this.mesh = mesh;
		this.balancer = new Balancer([...ports.values()].map(port => `http://127.0.0.1:${port}`));
		this.#ports = ports;
		this.#nodes = new Map();
		this.#dataDir = dataDir;
	}

	/** @param services two nodes are started of each */
	static async start(services: readonly string[]): Promise<RestartWorld> {
		const dataDir = temporaryFolder("restarts");
		const ports = new Map([
			["api-1", await freePort()],
			["api-2", await freePort()]
		]);
		const mesh = await startLocalMesh({
			dataDir,
			ports: { http: ports.get("api-1") as number },
			env: {
				HOST: "127.0.0.1",
				TRACE_EXPORTER: "none",
				DRAIN_NOTICE_MS: NOTICE_MS,
				LOGIN_ATTEMPTS: "0"
			}
		});
		const world = new RestartWorld(mesh, ports, dataDir);
		try {
			// Not all at once: ten processes that start take a small machine half a minute.
			for (const service of services)
				await Promise.all([`${service}-1`, `${service}-2`].map(name => world.#startNode(name)));
			await mesh.ready();
		} catch (error) {
			await world.stop();
			throw error;
		}
		return world;
	}

	/** Stops a node by SIGTERM and starts it anew. @throws where it does not end with code 0 */
	async restart(name: string): Promise<void> {
		const code = await this.#nodes.get(name)?.stop();
		if (code !== 0) throw new Error(`${name} ended with ${code}:\n${this.#nodes.get(name)?.output}`);
		await this.#startNode(name);
	}

	/** Kills a node, which stays away. */
	async kill(name: string): Promise<void> {
		await this.#nodes.get(name)?.kill();
	}

	/**
	 * Writes and reads notes while `work` runs. Each write has its key, so that it may be sent again.
	 * @param workers clients that each wait for an answer before they ask again
	 */
	async underLoad(work: () => Promise<void>, { workers = 4 } = {}): Promise<Outcome> {
		const { token } = await this.#user();
		const failed: string[] = [];
		const acknowledged: number[] = [];
		let [requests, done] = [0, false];
		const check = (method: string, answer: Answer, status: number) => {
			requests++;
			if (answer.status !== status) failed.push(`${method} ${answer.status} ${answer.text}`);
			return answer.status === status;
		};
		const before = this.balancer.retries;
		const loop = async (worker: number) => {
			for (let i = 0; !done; i++) {
				const json = { title: `${worker}/${i}`, content: "x" };
				const headers = { "Idempotency-Key": `${worker}-${i}` };
				const written = await this.balancer.send("POST", "/v1/note", { token, json, headers });
				if (check("POST", written, 201)) acknowledged.push((written.body.data as { note_id: number }).note_id);
				check("GET", await this.balancer.send("GET", "/v1/note/query", { token }), 200);
			}
		};
		const loops = Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
		try {
			await work();
		} finally {
			done = true;
			await loops;
		}
		const found = await this.#titles(token);
		const retries = this.balancer.retries - before;
		const lost = acknowledged.filter(id => !found.has(id)).length;
		const doubled = found.size - new Set(found.values()).size;
		return { requests, retries, failed, lost, doubled };
	}

	async stop(): Promise<void> {
		await this.balancer.stop();
		await this.mesh.stop();
		rmSync(this.#dataDir, { recursive: true, force: true });
	}

	async #startNode(name: string): Promise<void> {
		const [service = ""] = name.split("-");
		const port = this.#ports.get(name);
		this.#nodes.set(name, await this.mesh.startNode(service, name, port ? { PORT: String(port) } : {}));
	}

	async #user(): Promise<Login> {
		const json = { username: `user ${process.hrtime.bigint()}`, password: "correct horse" };
		const headers = { "Idempotency-Key": json.username.replace(" ", "-") };
		await this.balancer.send("POST", "/v1/user/register", { json, headers });
		const answer = await this.balancer.send("POST", "/v1/user/login", { json });
		if (answer.status !== 200) throw new Error(`No login: ${answer.text}`);
		return answer.body as unknown as Login;
	}

	/** All notes of a user: title by id. */
	async #titles(token: string): Promise<Map<number, string>> {
		const titles = new Map<number, string>();
		for (let cursor = ""; ; ) {
			const answer = await this.balancer.send("GET", `/v1/note/query?limit=100${cursor}`, { token });
			const page = answer.body.data as { notes: { note_id: number; title: string }[]; next_cursor: string | null };
			for (const { note_id, title } of page.notes) titles.set(note_id, title);
			if (!page.next_cursor) return titles;
			cursor = `&cursor=${page.next_cursor}`;
		}
	}
}
