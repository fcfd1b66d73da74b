import { execFileSync } from "node:child_process";
import { appendFileSync, closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { type NodeProcess, spawnNode } from "../../scripts/node-process.ts";
import { killAtExit, temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { freePort } from "../support/processes.ts";
import type { Platform } from "./platform.ts";

const READY_ATTEMPTS = 300;
const DISK = "48m";
const CHUNK = Buffer.alloc(65_536);

/** The embedded shape: one process, its databases on a small disk of their own. */
export class Embedded implements Platform {
	readonly gateways: readonly string[];
	readonly #folder: string;
	readonly #logs: string | undefined;
	readonly #env: Record<string, string>;
	#process: NodeProcess;
	#killed = false;

	private constructor(folder: string, port: number, logs: string | undefined) {
		this.#folder = folder;
		this.#logs = logs;
		this.gateways = [`http://127.0.0.1:${port}`];
		this.#env = { DATA_DIR: folder, PORT: String(port), HOST: "127.0.0.1", LOG_LEVEL: "warn" };
		this.#process = this.#spawn();
	}

	/** Why there can be no disk of its own here; false where there can. */
	static whyNot(): string | false {
		return process.platform === "linux" && process.getuid?.() === 0 ? false : "mounts a tmpfs: needs root on Linux";
	}

	/** @param logs folder that keeps what the process prints */
	static async start(logs?: string): Promise<Embedded> {
		const folder = temporaryFolder("small-disk");
		execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "notemesh-chaos", folder]);
		// However this process ends: before the folder is removed.
		killAtExit({ killNow: () => unmount(folder) });
		const embedded = new Embedded(folder, await freePort(), logs);
		await embedded.ready();
		return embedded;
	}

	async ready(): Promise<void> {
		for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++, await delay(100))
			if (
				await fetch(`${this.gateways[0]}/readyz`).then(
					answer => answer.ok,
					() => false
				)
			)
				return;
		throw new Error(`The embedded shape did not become ready:\n${this.#process.output}`);
	}

	databaseUrl(service: string): string {
		return `sqlite:${join(this.#folder, `${service}.sqlite`)}`;
	}

	/** Writes a file until not a byte more fits. */
	fillDisk(): void {
		const file = openSync(join(this.#folder, "filler"), "a");
		try {
			for (let size = CHUNK.length; size > 0; )
				try {
					writeSync(file, CHUNK, 0, size);
				} catch (error) {
					if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
					size = Math.floor(size / 2);
				}
		} finally {
			closeSync(file);
		}
	}

	emptyDisk(): void {
		rmSync(join(this.#folder, "filler"), { force: true });
	}

	/** SIGKILL. */
	async kill(): Promise<void> {
		this.#killed = true;
		await this.#process.kill();
	}

	async startAgain(): Promise<void> {
		this.#process = this.#spawn();
		this.#killed = false;
		await this.ready();
	}

	endedByThemselves(): string[] {
		const { running, lines } = this.#process;
		return running || this.#killed ? [] : [`the process ended by itself:\n${lines.slice(-15).join("\n")}`];
	}

	async stop(): Promise<void> {
		await this.#process.stop();
		unmount(this.#folder);
	}

	#spawn(): NodeProcess {
		const node = spawnNode({ args: [...RUNNER, "services"], env: this.#env });
		node.onLine(line => this.#logs && appendFileSync(join(this.#logs, "embedded.log"), `${line}\n`));
		return node;
	}
}

/** Lets go of it even where a file is still open. */
function unmount(folder: string): void {
	try {
		execFileSync("umount", ["--lazy", folder], { stdio: "ignore" });
	} catch {
		// It is unmounted already.
	}
}
