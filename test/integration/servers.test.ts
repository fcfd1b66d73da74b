import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { Etcd3 } from "etcd3";
import { Redis } from "ioredis";
import { createConnection } from "mysql2/promise";
import { connect } from "nats";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { startRedis } from "../../scripts/servers/redis.ts";
import type { LocalServer, ServerOptions } from "../../scripts/servers/server.ts";
import { requireServers } from "../support/servers.ts";

interface Kind {
	start(options?: ServerOptions): Promise<LocalServer>;
	/** Arguments that the server refuses. */
	refused: string[];
	write(server: LocalServer): Promise<void>;
	read(server: LocalServer): Promise<string | null>;
}

const kinds: Record<"nats" | "etcd" | "mariadb" | "redis", Kind> = {
	nats: {
		start: options => startNats({ ...options, jetstream: true }),
		refused: ["--config", "/no-such-file"],
		async write({ url }) {
			const nats = await connect({ servers: url });
			const manager = await nats.jetstreamManager();
			await manager.streams.add({ name: "KEPT", subjects: ["kept"] });
			await nats.jetstream().publish("kept", "value");
			await nats.close();
		},
		async read({ url }) {
			const nats = await connect({ servers: url, reconnect: false });
			try {
				const manager = await nats.jetstreamManager();
				const { streams } = await manager.getAccountInfo();
				if (streams === 0) return null;
				return (await manager.streams.getMessage("KEPT", { seq: 1 })).string();
			} finally {
				await nats.close();
			}
		}
	},
	etcd: {
		start: startEtcd,
		refused: ["--no-such-option"],
		async write({ url }) {
			const etcd = new Etcd3({ hosts: url });
			await etcd.put("kept").value("value");
			etcd.close();
		},
		async read({ url }) {
			const etcd = new Etcd3({ hosts: url });
			try {
				return await etcd.get("kept").string();
			} finally {
				etcd.close();
			}
		}
	},
	mariadb: {
		start: startMariadb,
		refused: ["--no-such-option"],
		async write({ url }) {
			const connection = await createConnection(url);
			await connection.query("CREATE DATABASE kept");
			await connection.query("CREATE TABLE kept.kept AS SELECT 'value' AS text");
			await connection.end();
		},
		async read({ url }) {
			const connection = await createConnection(url);
			try {
				const [schemas] = await connection.query("SHOW DATABASES LIKE 'kept'");
				if (Array.isArray(schemas) && schemas.length === 0) return null;
				const [rows] = await connection.query({ sql: "SELECT text FROM kept.kept", rowsAsArray: true });
				return String(rows);
			} finally {
				await connection.end();
			}
		}
	},
	redis: {
		start: options => startRedis({ ...options, durable: true }),
		refused: ["--no-such-option"],
		async write({ url }) {
			const redis = new Redis(url);
			await redis.set("kept", "value");
			redis.disconnect();
		},
		async read({ url }) {
			const redis = new Redis(url);
			try {
				return await redis.get("kept");
			} finally {
				redis.disconnect();
			}
		}
	}
};

for (const name of ["nats", "etcd", "mariadb", "redis"] as const) {
	const { start, refused, write, read } = kinds[name];

	describe(`A local ${name} server`, await requireServers(name), () => {
		it("has its data, port and a new process id when it is started again after SIGKILL", async () => {
			await using server = await start();
			const { pid, port } = server;
			await write(server);

			await server.kill();
			assert.equal((await server.exited).signal, "SIGKILL");
			assert.equal(server.pid, undefined);

			await server.start();
			assert.equal(await read(server), "value");
			assert.equal(server.port, port);
			assert.notEqual(server.pid, pid);
		});

		it("has its data when it is started again after an orderly stop, and none after a wipe", async () => {
			await using server = await start();
			await write(server);

			await server.stop();
			await server.start();
			assert.equal(await read(server), "value");

			await assert.rejects(server.wipe(), /stop it before/);
			await server.stop();
			await server.wipe();
			assert.equal(existsSync(server.dataDir), false);
			await server.start();
			assert.equal(await read(server), null);
		});

		it("answers nothing while it is paused, and the waiting question once it is resumed", async () => {
			await using server = await start();
			await write(server);

			server.pause();
			const answer = read(server);
			assert.equal(await winner({ answer, silence: new Promise(resolve => setTimeout(resolve, 300)) }), "silence");

			server.resume();
			assert.equal(await answer, "value");
		});

		it("can be stopped while it is paused", async () => {
			const server = await start();
			server.pause();
			await server.stop();
			assert.equal(server.running, false);
		});

		it("runs beside another one with data and port of its own", async () => {
			await using first = await start();
			await using second = await start();
			await write(first);
			assert.notEqual(first.port, second.port);
			assert.equal(await read(first), "value");
			assert.equal(await read(second), null);
		});

		it("refuses to start on a port where another one answers", async () => {
			await using server = await start();
			await assert.rejects(start({ port: server.port }), new RegExp(`port ${server.port} is taken`));
		});

		it("has the end of its log in the error when it cannot start", async () => {
			await assert.rejects(start({ args: refused }), /ended while starting: exit code \d+\n.*no-such-/s);
		});
	});
}

async function winner(contest: Record<string, Promise<unknown>>): Promise<string> {
	return Promise.race(Object.entries(contest).map(([name, promise]) => promise.then(() => name)));
}
