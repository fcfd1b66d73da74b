import type { Entry } from "./points.contract.ts";

/** A stored change of an account. */
export interface StoredEntry {
	id: number;
	kind: Entry["kind"];
	points: number;
	balance: number;
	created_at: Date;
}

export const DEFAULT_LIMIT = 20;

/** A change as clients see it. What it was for is between the services. */
export function present({ id, kind, points, balance, created_at }: StoredEntry): Entry {
	return { entry_id: id, kind, points, balance, create_time: Math.floor(created_at.getTime() / 1000) };
}

/** The cursor of the page after an entry. */
export function cursorAfter({ id }: { id: number }): string {
	return Buffer.from(`entry:${id}`).toString("base64url");
}

/** The entry that a cursor stands for, null for text that is no cursor. */
export function idOfCursor(cursor: string): number | null {
	const id = Number(/^entry:([1-9]\d{0,15})$/.exec(Buffer.from(cursor, "base64url").toString())?.[1]);
	return Number.isSafeInteger(id) ? id : null;
}
