import type { Operation } from "./history.ts";

/** What one client did to one note, one after the other: nobody else writes it. */
export interface NoteHistory {
	note: string;
	user: string;
	operations: Operation[];
	/** After each operation, what the note may hold; null: it is not there. */
	states: ReadonlySet<string | null>[];
}

const ABSENT: ReadonlySet<string | null> = new Set([null]);

/** The histories of all notes, by name. */
export function notesOf(operations: readonly Operation[]): Map<string, NoteHistory> {
	const histories = new Map<string, NoteHistory>();
	for (const operation of [...operations].sort((a, b) => a.began - b.began)) {
		const { note, user, kind } = operation;
		if (!note || kind === "read") continue;
		const history = histories.get(note) ?? { note, user, operations: [], states: [] };
		histories.set(note, history);
		history.states.push(after(history, operation));
		history.operations.push(operation);
	}
	return histories;
}

/** What the note may hold in the end. */
export function endOf({ states }: NoteHistory): ReadonlySet<string | null> {
	return states.at(-1) ?? ABSENT;
}

/** What somebody may see who looks between two moments: how it was before, and whatever was under way. */
export function possibleTexts({ operations, states }: NoteHistory, from: number, to: number): Set<string | null> {
	const before = operations.findLastIndex(operation => operation.ended <= from);
	const texts = new Set(states[before] ?? ABSENT);
	operations.forEach((operation, index) => {
		if (index > before && operation.began < to) for (const text of states[index] as Set<string | null>) texts.add(text);
	});
	return texts;
}

function after(history: NoteHistory, { kind, outcome, text }: Operation): ReadonlySet<string | null> {
	const before = endOf(history);
	if (outcome === "refused") return before;
	const result = kind === "remove" ? null : (text ?? null);
	if (outcome === "unknown") return new Set([...before, result]);

	// A delete that was in doubt may still come; an update can not: the version it was based on is over.
	const mayVanish = history.operations.some(known => known.kind === "remove" && known.outcome === "unknown");
	return new Set(mayVanish ? [result, null] : [result]);
}
