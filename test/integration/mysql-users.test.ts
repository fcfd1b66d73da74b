import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { type Connection, createConnection } from "mysql2/promise";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import { spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";

const passwords = {
	DB_MIGRATE_PASSWORD: "migrate-secret",
	DB_USER_PASSWORD: "user-secret",
	DB_NOTE_PASSWORD: "it's\\",
	DB_AUDIT_PASSWORD: "audit-secret",
	DB_LETTER_PASSWORD: "letter-secret",
	DB_POINTS_PASSWORD: "points-secret"
};

/** The SQL that the script would give to the server, from the environment that the container has. */
function sql(env: Record<string, string>): string {
	const script = "docker_process_sql() { cat; }; . deploy/mysql/create-users.sh";
	return execFileSync("bash", ["-eo", "pipefail", "-c", script], { encoding: "utf8", env: { ...process.env, ...env } });
}

describe("The database users of docker-compose.yml", await requireServers("mariadb"), () => {
	let server: MariadbServer;

	const connect = (user: string, password: string, database?: string): Promise<Connection> =>
		createConnection({ host: "127.0.0.1", port: server.port, user, password, database, multipleStatements: true });

	async function refused(connection: Connection, statement: string, code: RegExp): Promise<void> {
		await assert.rejects(connection.query(statement), { code }, statement);
	}

	before(async () => {
		server = await startMariadb({ durable: false });
		const root = await connect("root", "");
		await root.query(sql(passwords));
		await root.end();
	});
	after(() => server.stop());

	it("let the migrations create all five databases and their tables", async () => {
		const url = `mysql://notemesh_migrate:migrate-secret@127.0.0.1:${server.port}/notemesh_{service}`;
		const env = { NODE_ENV: "production", JWT_KEYS: `k1:${"x".repeat(32)}`, DATABASE_URL: url };
		await using migration = spawnNode({ args: ["scripts/migrate.ts", "up"], env });
		assert.equal((await migration.exited).code, 0, migration.output);
		for (const service of ["audit", "letter", "note", "points", "user"])
			assert.match(migration.output, new RegExp(`${service}: created .*notemesh_${service}`));
	});

	it("let a service read and write its rows, not change its tables, and see nothing of the other's", async () => {
		const note = await connect("notemesh_note", passwords.DB_NOTE_PASSWORD, "notemesh_note");
		const [rows] = await note.query("SELECT COUNT(*) AS count FROM notes");
		assert.deepEqual(rows, [{ count: 0 }]);
		await note.query("DELETE FROM notes");
		await refused(note, "DROP TABLE notes", /ER_TABLEACCESS_DENIED_ERROR/);
		await refused(note, "ALTER TABLE notes ADD COLUMN extra INT", /ER_TABLEACCESS_DENIED_ERROR/);
		await refused(note, "CREATE TABLE other (id INT)", /ER_TABLEACCESS_DENIED_ERROR/);
		await refused(note, "SELECT * FROM notemesh_user.users", /ER_TABLEACCESS_DENIED_ERROR/);
		await refused(note, "USE notemesh_user", /ER_DBACCESS_DENIED_ERROR/);
		await refused(note, "CREATE DATABASE notemesh_other", /ER_DBACCESS_DENIED_ERROR/);
		await note.end();
	});

	it("are enough for the services to start", async () => {
		const url = `mysql://notemesh_user:user-secret@127.0.0.1:${server.port}/notemesh_user`;
		const env = { NODE_ENV: "production", JWT_KEYS: `k1:${"x".repeat(32)}`, DATABASE_URL: url };
		const runner = ["node_modules/moleculer/bin/moleculer-runner.mjs", "--config", "moleculer.config.ts"];
		await using node = spawnNode({
			args: [...runner, "--mask", "**/*.service.ts"],
			env: { ...env, SERVICEDIR: "services/user" }
		});
		await node.waitForLine(/started successfully/);
	});
});
