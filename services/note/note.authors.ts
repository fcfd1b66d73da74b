import DataLoader from "dataloader";
import { LRUCache } from "lru-cache";
import type { Context, ServiceBroker } from "moleculer";
import { call } from "../../lib/call.ts";
import { isFault } from "../../lib/errors.ts";
import { count } from "../../lib/observability/instruments.ts";
import { manyUsers, type User } from "../user/user.contract.ts";
import type { Author } from "./note.domain.ts";

/** When names are asked for again, in milliseconds. */
interface Ages {
	/** A name is taken to be what it was for so long. No route changes one. Default a minute. */
	fresh: number;
	/** So long it is shown, if nobody tells it anew meanwhile. Default ten minutes. */
	remembered: number;
	/** So long old names are gathered for one call: those that were learnt in a busy second grow old together. Default 100. */
	gather: number;
}

const AGES: Ages = { fresh: 60_000, remembered: 600_000, gather: 100 };
/** Without it, a timer a millisecond. */
const RESOLUTION_MS = 1_000;
const MOST = 10_000;

/** Counts what was answered without what an action would have added. */
export const FALLBACKS = "policy.fallbacks.total";

/** The authors of notes, by id; without those whom the user service does not know. */
type Authors = ReadonlyMap<number, Author>;
export type AuthorsOf = (ctx: Context, userIds: readonly number[]) => Promise<Authors>;

/**
 * Finds authors by at most one call, whatever the number of notes, and remembers those that were found. Who asks for a name that
 * has grown old gets it, and does not wait for the answer ("stale-while-revalidate", RFC 5861): else all who write at
 * the moment when the names of a busy minute expire would wait for the user service together.
 */
export function authorDirectory(broker: Pick<ServiceBroker, "call">, ages: Partial<Ages> = {}): AuthorsOf {
	const { fresh, remembered, gather } = { ...AGES, ...ages };
	const ttlResolution = Math.min(RESOLUTION_MS, fresh / 2);
	const known = new LRUCache<number, Author>({ max: MOST, ttl: remembered, ttlResolution });
	const learn = ({ user_id, username, avatar }: User): Author => {
		const author = { username, avatar };
		known.set(user_id, author);
		return author;
	};
	const isOld = (id: number) => known.getRemainingTTL(id) < remembered - fresh;

	const refreshing = new DataLoader<number, void>(
		async ids => {
			// What was not told stays as it is, and is asked for again.
			const users = await call(broker, "user.mget", { user_ids: [...ids] }).catch(() => []);
			for (const user of users) learn(user);
			for (const id of ids) refreshing.clear(id);
			return ids.map(() => undefined);
		},
		{ maxBatchSize: manyUsers.user_ids.max, batchScheduleFn: send => void setTimeout(send, gather).unref() }
	);

	return async (ctx, userIds) => {
		const authors = new Map<number, Author>();
		const unknown = new Set<number>();
		for (const id of userIds) {
			const author = known.get(id);
			if (author) authors.set(id, author);
			else unknown.add(id);
			if (author && isOld(id)) void refreshing.load(id);
		}
		if (unknown.size === 0) return authors;

		for (const user of await found(ctx, [...unknown])) authors.set(user.user_id, learn(user));
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
