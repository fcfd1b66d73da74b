import type { AccountRow, FinalState, NoteRow, Operation } from "./history.ts";

/** Who writes the notes. */
export const USER = "ann";
const NEWCOMER = "bob";

let clock = 0;

/** A request of 10 ms; the next one begins 10 ms later. */
export function operation(kind: Operation["kind"], fields: Partial<Operation> = {}): Operation {
	clock += 20;
	const status = { done: 200, refused: 409, unknown: 503 }[fields.outcome ?? "done"];
	const isNote = kind !== "list" && kind !== "register";
	const base = {
		kind,
		user: USER,
		note: isNote ? "n1" : "",
		began: clock,
		ended: clock + 10,
		outcome: "done"
	} as const;
	return { ...base, status, ...fields };
}

export const created = (fields: Partial<Operation> = {}) => operation("create", { text: "a", ...fields });
export const updated = (fields: Partial<Operation> = {}) => operation("update", { text: "b", ...fields });
export const removed = (fields: Partial<Operation> = {}) => operation("remove", fields);
export const read = (text: string | null, fields: Partial<Operation> = {}) =>
	operation("read", { seen: text === null ? [] : [{ note: "n1", text }], ...fields });
export const registered = (fields: Partial<Operation> = {}) => operation("register", { user: NEWCOMER, ...fields });

export const row = (fields: Partial<NoteRow> = {}): NoteRow => ({
	id: 7,
	note: "n1",
	text: "a",
	version: 1,
	deleted: false,
	...fields
});
export const account = (fields: Partial<AccountRow> = {}): AccountRow => ({
	user: NEWCOMER,
	status: "ACTIVE",
	grants: 1,
	balance: 10,
	...fields
});

/** A state in which everything fits together: the list shows the rows, the log tells of each change. */
export function state(notes: NoteRow[], changes: Partial<FinalState> = {}): FinalState {
	const live = notes.filter(({ deleted }) => !deleted).map(({ note, text }) => ({ note, text }));
	return {
		notes,
		listed: new Map([[USER, live]]),
		accounts: [],
		audited: notes.flatMap(({ id, version, deleted }) => [
			`note.create ${id}`,
			...Array.from({ length: version - 1 }, () => `note.update ${id}`),
			...(deleted ? [`note.remove ${id}`] : [])
		]),
		brokenChains: [],
		miscounted: [],
		unsettled: [],
		...changes
	};
}
