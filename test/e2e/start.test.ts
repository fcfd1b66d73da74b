import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import packageJson from "../../package.json" with { type: "json" };
import { findCommand } from "../../scripts/servers/find-command.ts";
import { Client } from "../support/client.ts";
import { freePort, spawnNode } from "../support/processes.ts";
import { RawConnection } from "../support/raw.ts";
import { openTerminal } from "../support/terminal.ts";
import { until } from "../support/until.ts";

const dataDir = mkdtempSync(join(tmpdir(), "notemesh-start-"));
after(() => rmSync(dataDir, { recursive: true, force: true }));
const env = { DATA_DIR: dataDir, PORT: "0" };
const RUNNER = [
	"node_modules/moleculer/bin/moleculer-runner.mjs",
	"--config",
	"moleculer.config.ts",
	"--mask",
	"**/*.service.ts"
];
const NPM = findCommand("npm") as string;
const READY = /Notemesh is ready on (http:\S+)/;

const isClosed = (url: string) =>
	fetch(`${url}/healthz`).then(
		() => false,
		() => true
	);

describe("npm start", () => {
	it("says where it is and what to try, and those three things work", async () => {
		const node = spawnNode({ args: [...RUNNER, "services"], env });
		const [, url] = await node.waitForLine(READY);
		await node.waitForLine(/1\. Register/);
		const client = new Client((url as string).replace("localhost", "127.0.0.1"));
		const json = { username: "lorain", password: "123456" };
		assert.equal((await client.send("POST", "/v1/user/register", { json })).status, 201);
		const login = await client.send("POST", "/v1/user/login", { form: json });
		const token = login.body.token as string;
		const note = { title: "Hello", content: "My first note" };
		assert.equal((await client.send("POST", "/v1/note", { token, json: note })).status, 201);
		assert.equal(await node.stop(), 0);
	});

	it("tells the audit log, when it is stopped, what the gateway has refused by then, and stops in order", async () => {
		const node = spawnNode({ args: [...RUNNER, "services"], env });
		const [, url] = await node.waitForLine(READY);
		const client = new Client((url as string).replace("localhost", "127.0.0.1"));
		const json = { title: "Hello", content: "From nobody" };
		for (let i = 0; i < 3; i++) assert.equal((await client.send("POST", "/v1/note", { json })).status, 401);
		assert.equal(await node.stop(), 0);
		assert.doesNotMatch(node.output, /WARN|ERROR|SQLITE_MISUSE/);
		using log = new DatabaseSync(join(dataDir, "audit.sqlite"), { readOnly: true });
		const refused = log.prepare("SELECT action, error, details FROM audit_entries WHERE source = 'api'").all();
		assert.deepEqual(
			refused.map(({ action, error, details }) => [action, error, JSON.parse(String(details)).count]),
			[["note.create", "UNAUTHENTICATED", 3]]
		);
	});

	it("still knows users, notes and tokens after a restart", async () => {
		const node = spawnNode({ args: [...RUNNER, "services"], env });
		const [, url] = await node.waitForLine(READY);
		const client = new Client((url as string).replace("localhost", "127.0.0.1"));
		const login = await client.send("POST", "/v1/user/login", { json: { username: "LORAIN", password: "123456" } });
		const token = login.body.token as string;
		await node.kill();

		const again = spawnNode({ args: [...RUNNER, "services"], env });
		const [, newUrl] = await again.waitForLine(READY);
		const answer = await new Client((newUrl as string).replace("localhost", "127.0.0.1")).send(
			"GET",
			"/v1/note/query",
			{ token }
		);
		assert.equal((answer.body.data as { total: number }).total, 1);
		assert.equal(await again.stop(), 0);
	});

	it("finishes what is under way also when it is asked to stop twice", async () => {
		const node = spawnNode({ args: [...RUNNER, "services"], env: { ...env, DRAIN_NOTICE_MS: "0" } });
		const [, url] = (await node.waitForLine(READY)) as [string, string];
		const body = JSON.stringify({ username: "lorain", password: "123456" });
		const connection = new RawConnection(url.replace("localhost", "127.0.0.1"));
		connection.write(
			`POST /v1/user/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`
		);
		await connection.until(({ statuses }) => statuses.length === 1);
		process.kill(node.pid as number, "SIGTERM");
		await until("nobody listens any more", () => isClosed(url));
		process.kill(node.pid as number, "SIGTERM");
		connection.write(body);
		const { statuses } = await connection.until(answer => answer.statuses.length === 2);
		assert.deepEqual(statuses, [100, 200]);
		assert.equal((await node.exited).code, 0);
		assert.doesNotMatch(node.output, /ERROR/);
	});

	it("ends a migration that is running when it is stopped in the midst of its start", async () => {
		const DATA_DIR = join(dataDir, "new");
		mkdirSync(DATA_DIR);
		const file = join(DATA_DIR, "note.sqlite");
		using notes = new DatabaseSync(file);
		notes.exec("PRAGMA journal_mode = WAL");
		await using holder = spawnNode({ args: ["test/support/hold-sqlite-lock.ts", file] });
		await holder.waitForLine(/locked/);
		const node = spawnNode({ args: [...RUNNER, "services"], env: { DATA_DIR, PORT: "0", LOG_LEVEL: "debug" } });
		await node.waitForLine(/note: BEGIN IMMEDIATE/);
		node.signal("SIGTERM");
		await node.waitForLine(/Service 'letter' stopped/);
		await holder.stop();
		assert.equal((await node.exited).code, 0, node.output);
		assert.doesNotMatch(node.output, /\] (WARN|ERROR|FATAL)/);
		const applied = notes.prepare("SELECT name FROM note_migrations ORDER BY name").all();
		assert.deepEqual(
			applied.map(({ name }) => `${name}.ts`),
			readdirSync("models/migrations/note").sort()
		);
	});

	it("stops when npm alone is asked to", async () => {
		const npm = spawnNode({ args: [NPM, "start"], env: { ...env, HOST: "127.0.0.1" } });
		const [, url] = await npm.waitForLine(READY);
		process.kill(npm.pid as number, "SIGTERM");
		await until("nobody listens any more", () => isClosed(url as string));
		assert.equal((await npm.exited).code, 0);
	});

	it("opens the REPL on the embedded node with --repl", async () => {
		const terminal = openTerminal("npm start --silent -- --repl", { ...env, PATH: process.env.PATH as string });
		await terminal.waitFor(READY);
		await terminal.waitFor(/notemesh \$/);
		await terminal.type("notes lorain", /1 notes of lorain/);
		await terminal.type("call user.find", /username: 'lorain'/);
		await terminal.type("saga list --status succeed", /1 sagas of user[\s\S]*user\.registration/);
		await terminal.type("saga show nobody", /No saga is called "nobody"/);
		await terminal.type("saga retry", /saga skip <gid> <step> <reason/);
		assert.equal(await terminal.leave("exit"), 0);
	});

	const refusals: [what: string, args: string[], env: Record<string, string>, said: RegExp][] = [
		["a folder without services", RUNNER, { SERVICEDIR: "lib" }, /No service was loaded/],
		[
			"bad variables, naming each",
			[...RUNNER, "services"],
			{ PORT: "x", LOG_LEVEL: "loud" },
			/PORT must be[\s\S]*LOG_LEVEL|LOG_LEVEL must be[\s\S]*PORT/
		],
		[
			"variables that moleculer-runner would overwrite options with, naming each beside the bad ones",
			[...RUNNER, "services"],
			{ NAMESPACE: "prod", VALIDATOR: "false", REGISTRY_PREFERLOCAL: "false", MOL_CACHER: "Memory", PORT: "x" },
			/^(?=[\s\S]*NAMESPACE must not)(?=[\s\S]*VALIDATOR must not)(?=[\s\S]*REGISTRY_PREFERLOCAL must not)(?=[\s\S]*MOL_CACHER must not)[\s\S]*PORT must be/
		],
		[
			"an address that is not this machine's",
			[...RUNNER, "services"],
			{ HOST: "192.0.2.77" },
			/Can not listen.*EADDRNOTAVAIL/
		],
		[
			"a host that nobody knows",
			[...RUNNER, "services"],
			{ HOST: "notes.invalid" },
			/Can not listen.*(ENOTFOUND|EAI_AGAIN)/
		],
		["production without signing keys", [...RUNNER, "services"], { NODE_ENV: "production" }, /JWT_KEYS must be set/]
	];
	for (const [what, args, more, said] of refusals)
		it(`refuses ${what}, with a non-zero exit code`, async () => {
			await using node = spawnNode({ args, env: { ...env, ...more } });
			await until("the process has ended", () => !node.running);
			const { code } = await node.exited;
			assert.notEqual(code, 0);
			assert.match(node.output, said);
		});
});

describe("The scripts that run until they are stopped", () => {
	for (const name of ["start", "node", "dev", "mesh", "repl"] as const)
		it(`leave no shell between npm and Node: ${name}`, () => assert.match(packageJson.scripts[name], /^exec node /));
});

describe("npm run repl", () => {
	it("finds the mesh that `npm run mesh` has started under DATA_DIR", async () => {
		const host = `127.0.0.1:${await freePort()}`;
		const DATA_DIR = join(dataDir, "of mine");
		mkdirSync(join(DATA_DIR, "mesh"), { recursive: true });
		writeFileSync(join(DATA_DIR, "mesh", "mesh.env"), `NATS_URL=nats://${host}\n`);
		const repl = spawnNode({ args: [NPM, "run", "repl"], env: { DATA_DIR } });
		assert.equal((await repl.exited).code, 1);
		assert.match(repl.output, new RegExp(`NATS at ${host} can not be used`));
	});

	it("says in a line that no mesh is named, and how to get to one", async () => {
		const repl = spawnNode({ args: ["scripts/repl.ts"] });
		assert.equal((await repl.exited).code, 1);
		assert.equal(repl.lines.length, 1, repl.output);
		assert.match(repl.output, /NATS_URL is not set.*`npm run mesh`.*`npm start -- --repl`/);
	});

	it("says in a line which NATS does not answer, and does not wait for it", async () => {
		const host = `127.0.0.1:${await freePort()}`;
		const repl = spawnNode({ args: ["scripts/repl.ts"], env: { NATS_URL: `nats://user:secret@${host}` } });
		assert.equal((await repl.exited).code, 1);
		assert.equal(repl.lines.length, 1, repl.output);
		assert.match(repl.output, new RegExp(`NATS at ${host} can not be used \\(CONNECTION_REFUSED\\).*\`npm run mesh\``));
	});
});
