import type { Transaction } from "sequelize";
import { fold } from "../../lib/fold.ts";
import type { Statements } from "../../mixins/db.mixin.ts";
import { type StoredNote, writtenTexts } from "./note.domain.ts";

export type NoteStore = ReturnType<typeof noteStore>;

interface Page {
	/** Notes older than this id only. */
	before?: number | undefined;
	offset: number;
	limit: number;
}

/** A row as the driver gives it: SQLite keeps times as text. */
type Row = Omit<StoredNote, "created_at" | "updated_at"> & Record<"created_at" | "updated_at", Date | string>;

const COLUMNS = "id, user_id, title, content, version, created_at, updated_at";
/** How many notes a user has, which would have to be counted for each list. */
const TOTALS = { table: "note_totals", id: "owner_id", number: "total" };
/** Bound to one user's notes; deleted notes do not exist. */
const OWN = "user_id = ? AND deleted_at IS NULL";
/** INSTR on the folded copies: the key is literal text on every database, with no pattern characters to escape. */
const CONTAINING = "AND (INSTR(title_folded, ?) > 0 OR INSTR(content_folded, ?) > 0)";

/** The statements of the note table. Every function but `findMany` is bound to one user's notes. */
export function noteStore({ select, write, insert, add }: Statements) {
	return {
		async insert(
			userId: number,
			texts: { title: string; content: string },
			transaction: Transaction
		): Promise<StoredNote> {
			const now = new Date();
			const note = { user_id: userId, ...texts, version: 1, created_at: now, updated_at: now };
			const id = await insert(
				"INSERT INTO notes (user_id, title, title_folded, content, content_folded, version, created_at, updated_at)",
				"(?, ?, ?, ?, ?, 1, ?, ?)",
				[userId, texts.title, fold(texts.title), texts.content, fold(texts.content), now, now],
				transaction
			);
			await add(TOTALS, userId, 1, transaction);
			return { id, ...note };
		},

		async find(userId: number, id: number, transaction?: Transaction): Promise<StoredNote | null> {
			const sql = `SELECT ${COLUMNS} FROM notes WHERE id = ? AND ${OWN}`;
			const [row] = await select<Row>(sql, [id, userId], transaction);
			return row ? stored(row) : null;
		},

		async findMany(ids: readonly number[]): Promise<StoredNote[]> {
			const places = ids.map(() => "?").join(", ");
			const sql = `SELECT ${COLUMNS} FROM notes WHERE id IN (${places}) AND deleted_at IS NULL ORDER BY id`;
			return (await select<Row>(sql, ids)).map(stored);
		},

		/** The notes that contain `searchKey` literally, newest first, and how many there are in all. */
		async page(userId: number, searchKey: string | undefined, { before, offset, limit }: Page) {
			const key = searchKey === undefined ? [] : Array<string>(2).fill(fold(searchKey));
			const matching = searchKey === undefined ? OWN : `${OWN} ${CONTAINING}`;
			const counting =
				searchKey === undefined
					? "SELECT total FROM note_totals WHERE owner_id = ?"
					: `SELECT COUNT(*) AS total FROM notes WHERE ${matching}`;
			// One round trip for both. A number that is missing must not hide the notes.
			const totalFrom =
				searchKey === undefined
					? "total FROM notes LEFT JOIN note_totals ON owner_id = ?"
					: `(${counting}) AS total FROM notes`;
			const rows = await select<Row & { total: number | null }>(
				`SELECT ${COLUMNS}, ${totalFrom}
				WHERE ${matching} ${before ? "AND id < ?" : ""} ORDER BY id DESC LIMIT ? OFFSET ?`,
				[userId, ...key, userId, ...key, ...(before ? [before] : []), limit, offset]
			);
			const [first] = rows;
			if (first) return { total: first.total ?? 0, rows: rows.map(stored) };
			// Beyond the end of the list there is no row that could carry the number.
			const [counted] = before || offset > 0 ? await select<{ total: number }>(counting, [userId, ...key]) : [];
			return { total: counted?.total ?? 0, rows: [] };
		},

		/** Changes a note in one statement. @returns whether a note of that user (and that version, where given) was there */
		async update(
			userId: number,
			id: number,
			texts: { title?: string; content?: string },
			version: number | undefined,
			transaction: Transaction
		): Promise<boolean> {
			const written = Object.entries(writtenTexts(texts));
			const set = [...written.map(([column]) => `${column} = ?`), "version = version + 1", "updated_at = ?"].join(", ");
			const { rows } = await write(
				`UPDATE notes SET ${set} WHERE id = ? AND ${OWN} ${version === undefined ? "" : "AND version = ?"}`,
				[...written.map(([, text]) => text), new Date(), id, userId, ...(version === undefined ? [] : [version])],
				transaction
			);
			return rows === 1;
		},

		/** Marks a note as deleted. @returns whether it was there */
		async remove(userId: number, id: number, transaction: Transaction): Promise<boolean> {
			const now = new Date();
			const sql = `UPDATE notes SET deleted_at = ?, updated_at = ? WHERE id = ? AND ${OWN}`;
			const { rows } = await write(sql, [now, now, id, userId], transaction);
			if (rows === 1) await add(TOTALS, userId, -1, transaction);
			return rows === 1;
		}
	};
}

function stored({ id, user_id, title, content, version, created_at, updated_at }: Row): StoredNote {
	return {
		id,
		user_id,
		title,
		content,
		version,
		created_at: toDate(created_at),
		updated_at: toDate(updated_at)
	};
}

function toDate(time: Date | string): Date {
	return typeof time === "string" ? new Date(time) : time;
}
