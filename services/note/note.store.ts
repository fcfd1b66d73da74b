import {
	col,
	fn,
	literal,
	type Model,
	type ModelStatic,
	Op,
	type Sequelize,
	type WhereOptions,
	where
} from "sequelize";
import type { NoteCreation, NoteRow } from "../../models/note.model.ts";
import { fold, type StoredNote, writtenTexts } from "./note.domain.ts";

const ATTRIBUTES = ["id", "user_id", "title", "content", "version", "created_at", "updated_at"];

/** The table; rows are read `raw`, so they are plain objects. */
export type NoteTable = ModelStatic<Model<NoteRow, NoteCreation> & NoteRow>;
export type NoteStore = ReturnType<typeof noteStore>;

interface Page {
	/** Notes older than this id only. */
	before?: number | undefined;
	offset: number;
	limit: number;
}

/** The note table as plain objects. Every function but `findMany` is bound to one user's notes; deleted notes do not exist. */
export function noteStore(notes: NoteTable) {
	const ownedBy = (userId: number) => ({ user_id: userId, deleted_at: null });

	return {
		async insert(userId: number, texts: { title: string; content: string }): Promise<StoredNote> {
			const { title_folded, content_folded } = writtenTexts(texts) as Required<ReturnType<typeof writtenTexts>>;
			const note = await notes.create({ user_id: userId, ...texts, title_folded, content_folded });
			return note.get({ plain: true });
		},

		async find(userId: number, id: number): Promise<StoredNote | null> {
			const row = await notes.findOne({ attributes: ATTRIBUTES, where: { id, ...ownedBy(userId) }, raw: true });
			return row && stored(row);
		},

		async findMany(ids: readonly number[]): Promise<StoredNote[]> {
			const rows = await notes.findAll({
				attributes: ATTRIBUTES,
				where: { id: [...ids], deleted_at: null },
				order: ["id"],
				raw: true
			});
			return rows.map(stored);
		},

		/** The notes that contain `searchKey` literally, newest first, and how many there are in all. */
		async page(userId: number, searchKey: string | undefined, { before, offset, limit }: Page) {
			const matching: WhereOptions = searchKey
				? { ...ownedBy(userId), [Op.or]: containing(notes, searchKey) }
				: ownedBy(userId);
			const older: WhereOptions = before ? { [Op.and]: [matching, { id: { [Op.lt]: before } }] } : matching;
			const [total, rows] = await Promise.all([
				notes.count({ where: matching }),
				notes.findAll({ attributes: ATTRIBUTES, where: older, order: [["id", "DESC"]], offset, limit, raw: true })
			]);
			return { total, rows: rows.map(stored) };
		},

		/** Changes a note in one statement. @returns whether a note of that user (and that version, where given) was there */
		async update(
			userId: number,
			id: number,
			texts: { title?: string; content?: string },
			version?: number
		): Promise<boolean> {
			const [changed] = await notes.update(
				{ ...writtenTexts(texts), version: literal("version + 1") },
				{ where: { id, ...ownedBy(userId), ...(version !== undefined && { version }) } }
			);
			return changed === 1;
		},

		/** Marks a note as deleted. @returns whether it was there */
		async remove(userId: number, id: number): Promise<boolean> {
			const [changed] = await notes.update({ deleted_at: new Date() }, { where: { id, ...ownedBy(userId) } });
			return changed === 1;
		}
	};
}

/** Sequelize reads raw rows as the driver gives them, and SQLite keeps times as text. */
function stored(row: StoredNote): StoredNote {
	return { ...row, created_at: new Date(row.created_at), updated_at: new Date(row.updated_at) };
}

/** INSTR on the folded copies: the key is literal text on every database, with no pattern characters to escape. */
function containing(notes: NoteTable, searchKey: string) {
	// A plain argument of fn() comes out with every "$" doubled.
	const key = literal((notes.sequelize as Sequelize).escape(fold(searchKey)));
	return ["title_folded", "content_folded"].map(column => where(fn("INSTR", col(column), key), Op.gt, 0));
}
