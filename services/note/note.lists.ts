import { randomUUID } from "node:crypto";
import { isTimeout } from "../../lib/cacher.ts";
import type { NotePage } from "./note.contract.ts";

/** How long a list is kept, in seconds: also how long it may be old after a write that could not reach the cache. */
const LIST_SECONDS = 30;
const GENERATION_SECONDS = 3600;
/** How long a write insists on telling a cacher that is slow before it is answered, in milliseconds. */
const PATIENCE_MS = 1_000;

/** The part of moleculer's cachers that is needed. */
interface Cacher {
	get(key: string): PromiseLike<unknown> | null;
	set(key: string, value: unknown, seconds?: number): PromiseLike<unknown>;
}

interface Kept {
	generation: string;
	page: NotePage;
}

/** The lists of each user, remembered until that user's next write. */
export interface NoteLists {
	/**
	 * A page of a user's list: the kept one, or what `load` answers. However many ask at once, this process loads once.
	 * @param asked tells the pages of one user apart
	 */
	page(userId: number, asked: object, load: () => Promise<NotePage>): Promise<NotePage>;
	/**
	 * Does a write; when it is answered, nobody sees an older list any more. Nor when it fails: where only the answer to
	 * its commit was lost, it came to pass.
	 */
	changing<T>(userId: number, write: () => Promise<T>): Promise<T>;
}

/**
 * Remembers lists in a cacher. A list is kept with the generation of its user's notes that was known before it was
 * loaded, and is good as long as that is the current one. So a reader who was overtaken by a write keeps his old list
 * under a generation that nobody asks for any more; deleting entries instead would let him put it back.
 *
 * @param cacher none: nothing is remembered
 * @param warn is told when the cacher fails, which is never a failure of the request
 */
export function noteLists(cacher: Cacher | null | undefined, warn: (error: unknown) => void): NoteLists {
	if (!cacher) return { page: (_userId, _asked, load) => load(), changing: (_userId, write) => write() };

	const loading = new Map<string, Promise<NotePage>>();
	const generationKey = (userId: number) => `note.generation:${userId}`;

	async function begin(userId: number): Promise<string> {
		const generation = randomUUID();
		await cacher?.set(generationKey(userId), generation, GENERATION_SECONDS);
		return generation;
	}

	async function lookUp(userId: number, key: string): Promise<{ generation: string; page?: NotePage }> {
		const [current, kept] = (await Promise.all([cacher?.get(generationKey(userId)), cacher?.get(key)])) as [
			string | undefined | null,
			Kept | undefined | null
		];
		if (!current) return { generation: await begin(userId) };
		return kept?.generation === current ? kept : { generation: current };
	}

	async function forget(userId: number): Promise<void> {
		const end = performance.now() + PATIENCE_MS;
		const tell = async (): Promise<unknown> => {
			try {
				return await begin(userId);
			} catch (error) {
				// Who is away has nothing old to give; who is slow answers others meanwhile.
				return isTimeout(error) && performance.now() < end ? tell() : warn(error);
			}
		};
		await tell();
	}

	async function loadOnce(key: string, generation: string, load: () => Promise<NotePage>): Promise<NotePage> {
		const once = `${generation} ${key}`;
		const others = loading.get(once);
		if (others) return others;
		const own = load();
		loading.set(once, own);
		try {
			const page = await own;
			// A name is missing while the user service is away.
			if (page.notes.every(note => note.username !== ""))
				await Promise.resolve(cacher?.set(key, { generation, page }, LIST_SECONDS)).catch(warn);
			return page;
		} finally {
			loading.delete(once);
		}
	}

	return {
		async page(userId, asked, load) {
			const key = `note.list:${userId}:${JSON.stringify(asked)}`;
			const found = await lookUp(userId, key).catch(warn);
			return found ? (found.page ?? loadOnce(key, found.generation, load)) : load();
		},

		async changing(userId, write) {
			try {
				return await write();
			} finally {
				await forget(userId);
			}
		}
	};
}
