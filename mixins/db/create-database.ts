import { createConnection } from "mysql2/promise";
import { parseMysqlUrl } from "./mysql-url.ts";

const BAD_DB_ERROR = "ER_BAD_DB_ERROR";

function hasCode(error: unknown, code: string): boolean {
	return error instanceof Error && "code" in error && error.code === code;
}

/**
 * Creates the database of a URL where it is missing. SQLite makes its file by itself.
 *
 * @returns whether it was missing
 * @throws the server's error when it cannot be reached, or when the user may not create databases
 */
export async function createDatabase(url: string): Promise<boolean> {
	if (url.startsWith("sqlite:")) return false;
	const { database, ...server } = parseMysqlUrl(url);
	try {
		const connection = await createConnection({ ...server, database });
		await connection.end();
		return false;
	} catch (error) {
		if (!hasCode(error, BAD_DB_ERROR)) throw error;
	}
	const connection = await createConnection(server);
	try {
		await connection.query("CREATE DATABASE IF NOT EXISTS ?? CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", [database]);
		return true;
	} finally {
		await connection.end();
	}
}
