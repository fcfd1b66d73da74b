// The note service with a database elsewhere: a list takes a fixed time, no CPU, and one of a few connections.
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceSchema } from "moleculer";
import type { StoredNote } from "../../services/note/note.domain.ts";
import NoteService from "../../services/note/note.service.ts";
import type { NoteStore } from "../../services/note/note.store.ts";
import { CONNECTIONS, WAIT_MS } from "./stub.ts";

const written = new Date();

function noteOf(userId: number, id: number): StoredNote {
	const texts = { title: `Note ${id}`, content: "lorem ipsum ".repeat(16) };
	return { id, user_id: userId, version: 1, created_at: written, updated_at: written, ...texts };
}

/** Lets as many works go on at once as there are connections; the others wait, first come first served. */
function pool() {
	const waiting: (() => void)[] = [];
	let free = CONNECTIONS;
	return async <Result>(work: () => Promise<Result>): Promise<Result> => {
		if (free > 0) free--;
		else await new Promise<void>(resolve => waiting.push(resolve));
		try {
			return await work();
		} finally {
			const next = waiting.shift();
			if (next) next();
			else free++;
		}
	};
}

const StubbedNoteService: ServiceSchema = {
	name: "note",
	mixins: [NoteService as ServiceSchema],

	started() {
		const connected = pool();
		const page: NoteStore["page"] = (userId, _searchKey, { limit }) =>
			connected(async () => {
				await delay(WAIT_MS);
				return { total: 20, rows: Array.from({ length: limit }, (_, i) => noteOf(userId, 20 - i)) };
			});
		this.notes = { ...this.notes, page };
	}
};

export default StubbedNoteService;
