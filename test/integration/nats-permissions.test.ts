import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { connect } from "nats";
import { NatsTransporter } from "../../mixins/etcd-registry/index.ts";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { Client } from "../support/client.ts";
import { freePort, type NodeProcess, spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const USERS: Record<string, string> = { audit: "audit", letter: "letter", api: "caller" };

describe("A mesh with the users of deploy/nats/permissions.conf", await requireServers("nats"), () => {
	let nats: LocalServer;
	let nodes: NodeProcess[] = [];
	let repl: ServiceBroker;
	let client: Client;
	const as = (user: string) => nats.url.replace("//", `//${user}:${user}-secret@`);

	before(async () => {
		nats = await startNats({ jetstream: true, config: readFileSync("deploy/nats/permissions.conf", "utf8") });
		const PORT = String(await freePort());
		const env = {
			DATABASE_URL: `sqlite:${temporaryFolder("permissions")}/{service}.sqlite`,
			TRACE_EXPORTER: "none",
			JWT_KEYS: `test:${"k".repeat(32)}`,
			PORT
		};
		nodes = ["user", "note", "points", "audit", "letter", "api"].map(service => {
			const own = { NATS_URL: as(USERS[service] ?? "service"), SERVICEDIR: `services/${service}`, NODE_NAME: service };
			return spawnNode({ args: RUNNER, env: { ...env, ...own } });
		});
		await Promise.all(nodes.map(node => node.waitForLine(/started successfully/)));
		repl = new ServiceBroker({ nodeID: "repl", transporter: new NatsTransporter(as("caller")), logger: false });
		await repl.start();
		client = new Client(`http://127.0.0.1:${PORT}`);
		await until("it is ready", async () => (await client.send("GET", "/readyz")).status === 200);
	});
	after(async () => {
		await repl?.stop();
		await Promise.all(nodes.map(node => node.stop()));
		await nats?.stop();
	});

	it("serves, writes its log, and buries and shows what the log can not take", async () => {
		const user = await client.newUser();
		await repl.waitForServices("user");
		await repl.call("user.setRole", { user_id: user.user_id, role: "admin" });
		const { token } = await client.login(user.username, user.password);
		await client.send("POST", "/v1/note", { token, json: { title: "a", content: "b" } });
		const listed = async (path: string, text: RegExp) =>
			text.test(JSON.stringify((await client.send("GET", path, { token })).body));
		await until("the log has it", () => listed("/v1/audit?action=note.create", /note\.create/));

		const service = await connect({ servers: nats.url, user: "service", pass: "service-secret" });
		await service.request("audit.recorded", "no record");
		await service.close();
		await until("it is buried", () => listed("/v1/admin/letter", /"letter_id":1/));
		assert.equal((await client.send("POST", "/v1/admin/letter/1/replay", { token })).status, 200);
		await until("it is buried again", () => listed("/v1/admin/letter", /"letter_id":2/));
		assert.equal((await client.send("DELETE", "/v1/admin/letter/2", { token })).status, 200);
		for (const node of nodes) assert.doesNotMatch(node.output, /permissions violation/i);
	});

	for (const [user, subject] of [
		["audit", "audit.recorded"],
		["caller", "audit.recorded"],
		["caller", "dead.AUDIT.audit-log"],
		["caller", "$JS.API.STREAM.DELETE.AUDIT"],
		["service", "$JS.API.STREAM.DELETE.AUDIT"],
		["service", "$JS.API.STREAM.UPDATE.AUDIT"]
	] as const)
		it(`refuses ${user} on ${subject}`, async () => {
			const connection = await connect({ servers: nats.url, user, pass: `${user}-secret` });
			await assert.rejects(connection.request(subject, "{}"), /permissions violation/i);
			await connection.close();
		});
});
