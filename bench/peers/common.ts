// What all peers share, so that they differ in nothing but how they serve.
import { jwtVerify } from "jose";

/** A note as it is answered. */
export interface Note {
	note_id: number;
	user_id: number;
	username: string;
	user_avatar: string;
	title: string;
	content: string;
	create_time: number;
	update_time: number;
	version: number;
}

/** A row of `notes`. */
export interface NoteRow {
	id: number;
	user_id: number;
	title: string;
	content: string;
	version: number;
	created_at: Date;
	updated_at: Date;
}

export interface Author {
	username: string;
	avatar: string;
}

export const POOL_SIZE = 10;
export const DEFAULT_LIMIT = 10;

const secret = new TextEncoder().encode(required("JWT_SECRET"));
const remembered = new Map<string, { id: number; expires: number }>();
const remembers = process.env.TOKEN_CACHE === "on";

export function required(name: string): string {
	const value = process.env[name];
	if (!value) throw new Error(`${name} is not set`);
	return value;
}

/** The user of an `Authorization` header; undefined for any other text. With TOKEN_CACHE=on each token is verified once. */
export async function userOf(authorization: string | undefined): Promise<number | undefined> {
	if (!authorization?.startsWith("Bearer ")) return undefined;
	const token = authorization.slice("Bearer ".length);
	const known = remembers ? remembered.get(token) : undefined;
	if (known && known.expires > Date.now()) return known.id;
	try {
		const { payload } = await jwtVerify(token, secret, {
			algorithms: ["HS256"],
			issuer: "notemesh",
			audience: "notemesh-api",
			typ: "at+jwt"
		});
		if (remembers) remembered.set(token, { id: Number(payload.sub), expires: Number(payload.exp) * 1000 });
		return Number(payload.sub);
	} catch {
		return undefined;
	}
}

export function success(data: unknown) {
	return { code: 0, message: "Success", data };
}

export const UNAUTHENTICATED = { code: 10004, message: "Authorization failed", data: null };

export function present(note: NoteRow, author: Author): Note {
	return {
		note_id: note.id,
		user_id: note.user_id,
		username: author.username,
		user_avatar: author.avatar,
		title: note.title,
		content: note.content,
		create_time: Math.floor(note.created_at.getTime() / 1000),
		update_time: Math.floor(note.updated_at.getTime() / 1000),
		version: note.version
	};
}

/** A page from one row more than asked for. */
export function page(total: number, notes: Note[], limit: number) {
	const last = notes.length > limit ? notes[limit - 1] : undefined;
	return {
		total,
		notes: notes.slice(0, limit),
		next_cursor: last ? Buffer.from(`n${last.note_id}`).toString("base64url") : null
	};
}

/** The copies that a search compares, since the table has them. */
export function folded({ title, content }: { title: string; content: string }) {
	return { title_folded: title.toLowerCase().normalize("NFC"), content_folded: content.toLowerCase().normalize("NFC") };
}
