import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Connection, createConnection } from "mysql2/promise";
import { findCommand } from "./find-command.ts";
import { LocalServer, type ServerOptions, withDefaults } from "./server.ts";

const run = promisify(execFile);

export interface MariadbOptions extends ServerOptions {
	/** Syncs each commit to disk (default). `false` is faster; a crash of the machine, not of mariadbd, loses a second. */
	durable?: boolean;
}

/** A MariaDB server; its user `root` has no password on 127.0.0.1. */
export class MariadbServer extends LocalServer {
	/** Creates a database if it is missing and returns its URL. */
	async createDatabase(name: string): Promise<string> {
		await withConnection(this.port, connection => connection.query("CREATE DATABASE IF NOT EXISTS ??", [name]));
		return `${this.url}/${encodeURIComponent(name)}`;
	}
}

/** Starts mariadbd on its own data folder, untouched by the system's configuration, and waits until it answers SQL. */
export async function startMariadb(options: MariadbOptions = {}): Promise<MariadbServer> {
	const { port, dataDir, args } = await withDefaults("mariadb", options);
	const { durable = true } = options;
	const basics = [
		"--no-defaults",
		`--datadir=${dataDir}`,
		"--innodb-log-file-size=16M",
		`--tmpdir=${dataDir}`,
		...asRoot()
	];

	const server = new MariadbServer({
		name: "mariadb",
		command: "mariadbd",
		args: [
			...[...basics, "--bind-address=127.0.0.1", `--port=${port}`, "--socket=", "--skip-name-resolve"],
			...["--character-set-server=utf8mb4", `--pid-file=${join(dataDir, "mariadb.pid")}`],
			...(durable ? [] : ["--innodb-flush-log-at-trx-commit=2"]),
			...args
		],
		port,
		dataDir,
		url: `mysql://root@127.0.0.1:${port}`,
		async prepare() {
			if (existsSync(join(dataDir, "mysql"))) return;
			const install = findCommand("mariadb-install-db");
			if (!install) throw new Error("mariadb-install-db is not installed");
			await run(install, [...basics, "--auth-root-authentication-method=normal", "--skip-test-db"]);
		},
		check: () => withConnection(port, connection => connection.query("SELECT 1"))
	});
	await server.start();
	return server;
}

// mariadbd refuses to run as root unless told so.
function asRoot(): string[] {
	return process.getuid?.() === 0 ? ["--user=root"] : [];
}

async function withConnection(port: number, work: (connection: Connection) => Promise<unknown>): Promise<void> {
	const connection = await createConnection({ host: "127.0.0.1", port, user: "root", connectTimeout: 5000 });
	try {
		await work(connection);
	} finally {
		await connection.end();
	}
}
