import { join } from "node:path";
import { after, before, describe } from "node:test";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import { requireServers } from "./servers.ts";

/** One kind of database for a suite that runs on both. */
export interface TestDatabases {
	readonly dialect: "sqlite" | "mysql";
	/** The URL of an empty database that no other test uses. */
	create(): Promise<string>;
	/** The server, where there is one. */
	readonly server?: MariadbServer;
}

/** Makes URLs of SQLite files in a temporary folder. */
export function sqliteFiles(): TestDatabases {
	const folder = temporaryFolder("sqlite");
	let count = 0;
	return { dialect: "sqlite", create: async () => `sqlite:${join(folder, `${++count}.sqlite`)}` };
}

/** Makes databases on a MariaDB server that runs for the suite around the call. */
export function mariadbDatabases(): TestDatabases & { server: MariadbServer } {
	let server: MariadbServer;
	let count = 0;
	before(async () => {
		server = await startMariadb({ durable: false });
	});
	after(() => server?.stop());
	return {
		dialect: "mysql",
		create: () => server.createDatabase(`test_${++count}`),
		get server() {
			return server;
		}
	};
}

/** Runs a suite once on SQLite and once on MariaDB. */
export async function onEachDatabase(name: string, suite: (databases: TestDatabases) => void): Promise<void> {
	const { skip } = await requireServers("mariadb");
	describe(`${name}, on SQLite`, () => suite(sqliteFiles()));
	describe(`${name}, on MariaDB`, { skip }, () => suite(mariadbDatabases()));
}
