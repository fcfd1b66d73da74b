import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Connection, createConnection } from "mysql2/promise";
import { accessTokens } from "../../lib/tokens.ts";
import type { MariadbServer } from "../../scripts/servers/mariadb.ts";

/** Half of the users read their list, which stays as it is; the other half write. */
const READERS = 200;
const USERS = 2 * READERS;
const NOTES = 20;
const TOKEN_SECONDS = 24 * 3600;

export const JWT_SECRET = "benchmark-secret-that-guards-nothing-at-all";
export const JWT_KEYS = `bench:${JWT_SECRET}`;
/** What each POST sends. */
export const NEW_NOTE = JSON.stringify({ title: "A note", content: "x".repeat(200) });

/** Files of access tokens, one a line. */
export interface Tokens {
	readers: string;
	writers: string;
}

/** Signs a token for each user and writes them to files. */
export async function writeTokens(folder: string): Promise<Tokens> {
	const tokens = accessTokens([{ name: "bench", secret: JWT_SECRET }]);
	const signed = await Promise.all(
		Array.from({ length: USERS }, (_, i) =>
			tokens.sign({ id: i + 1, role: "user", session_id: `bench-${i}` }, TOKEN_SECONDS)
		)
	);
	const write = async (name: string, part: typeof signed) => {
		const file = join(folder, name);
		await writeFile(file, `${part.map(({ token }) => token).join("\n")}\n`);
		return file;
	};
	return {
		readers: await write("readers", signed.slice(0, READERS)),
		writers: await write("writers", signed.slice(READERS))
	};
}

/** Fills the migrated databases `<name>_user` and `<name>_note`. */
export async function seed(mariadb: MariadbServer, name: string): Promise<void> {
	const db = await createConnection({ uri: mariadb.url });
	const users = Array.from({ length: USERS }, (_, i) => i + 1);
	const now = "2026-01-01 12:00:00.000";
	await insert(
		db,
		`${name}_user.users (id, username, username_key, password_hash, created_at, updated_at)`,
		users.map(id => [id, `user ${id}`, `user ${id}`, "none", now, now])
	);
	for (let n = 0; n < NOTES; n++)
		await insert(
			db,
			`${name}_note.notes (user_id, title, content, title_folded, content_folded, created_at, updated_at)`,
			users.map(id => {
				const [title, content] = [`Note ${n}`, `Content of note ${n}: `.padEnd(200, "lorem ipsum ")];
				return [id, title, content, title.toLowerCase(), content.toLowerCase(), now, now];
			})
		);
	await db.query(
		`INSERT INTO ${name}_note.note_totals SELECT user_id, COUNT(*) FROM ${name}_note.notes GROUP BY user_id`
	);
	await db.end();
}

/** Gives the peers one database with the same two tables, indexes and rows. @returns its URL */
export async function copyForPeers(mariadb: MariadbServer, name: string): Promise<string> {
	const url = await mariadb.createDatabase("peers");
	const db = await createConnection({ uri: url });
	for (const [table, source] of [
		["users", `${name}_user.users`],
		["notes", `${name}_note.notes`]
	]) {
		await db.query(`CREATE TABLE ${table} LIKE ${source}`);
		await db.query(`INSERT INTO ${table} SELECT * FROM ${source}`);
	}
	await db.end();
	return url;
}

async function insert(db: Connection, into: string, rows: unknown[][]): Promise<void> {
	await db.query(`INSERT INTO ${into} VALUES ?`, [rows]);
}
