import { LRUCache } from "lru-cache";
import type { Context } from "moleculer";
import { call } from "../../lib/call.ts";
import { isFault } from "../../lib/errors.ts";
import { count } from "../../lib/observability/instruments.ts";
import type { User } from "../user/user.contract.ts";
import type { Author } from "./note.domain.ts";

/** For how long a name is taken to be what it was, in milliseconds. No route changes one. */
const REMEMBERED_MS = 60_000;
/** Without it, a timer a millisecond. */
const RESOLUTION_MS = 1_000;
const MOST = 10_000;

/** Counts what was answered without what an action would have added. */
export const FALLBACKS = "policy.fallbacks.total";

/** The authors of notes, by id; without those whom the user service does not know. */
export type Authors = ReadonlyMap<number, Author>;
export type AuthorsOf = (ctx: Context, userIds: readonly number[]) => Promise<Authors>;

/** Finds authors by at most one call, whatever the number of notes, and remembers those that were found. */
export function authorDirectory(): AuthorsOf {
	const known = new LRUCache<number, Author>({ max: MOST, ttl: REMEMBERED_MS, ttlResolution: RESOLUTION_MS });

	return async (ctx, userIds) => {
		const authors = new Map<number, Author>();
		const unknown = new Set<number>();
		for (const id of userIds) {
			const author = known.get(id);
			if (author) authors.set(id, author);
			else unknown.add(id);
		}
		if (unknown.size === 0) return authors;

		for (const { user_id, username, avatar } of await found(ctx, [...unknown])) {
			const author = { username, avatar };
			known.set(user_id, author);
			authors.set(user_id, author);
		}
		return authors;
	};
}

/** Without the user service notes have no names. */
async function found(ctx: Context, userIds: number[]): Promise<User[]> {
	try {
		return await call(ctx, "user.mget", { user_ids: userIds });
	} catch (error) {
		if (!isFault(error)) throw error;
		count(ctx.broker, FALLBACKS, { action: "user.mget" });
		return [];
	}
}
