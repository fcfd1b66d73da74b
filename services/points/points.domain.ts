import { cursors } from "../../lib/paging.ts";
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

/** Cursors of an account's history. */
export const historyCursors = cursors("entry:", ["id"]);
