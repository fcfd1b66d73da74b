import type { AccountRow, FinalState, NoteRow, Operation, SeenNote } from "./history.ts";
import { endOf, type NoteHistory, notesOf, possibleTexts } from "./note-history.ts";

/** What broke a promise. */
export interface Violation {
	rule:
		| "lost"
		| "doubled"
		| "came back"
		| "refused, yet done"
		| "not what was written"
		| "wrong read"
		| "refused without reason"
		| "undocumented answer"
		| "no answer"
		| "failed"
		| "audit"
		| "miscounted"
		| "registration"
		| "not settled";
	detail: string;
}

/** What the fault may do to a client. */
export interface Allowance {
	/** Whether a gateway was down, so that requests may have gone without an answer. */
	noAnswer: boolean;
	/** Whether requests may have failed at all. */
	failures: boolean;
}

/** Points of a new user. */
const WELCOME_POINTS = 10;

/** Compares what clients were told with what there is. An empty list means that every promise was kept. */
export function check(operations: readonly Operation[], state: FinalState, allowance: Allowance): Violation[] {
	const histories = notesOf(operations);
	return [
		...operations.flatMap(operation => answerProblems(operation, allowance)),
		...[...histories.values()].flatMap(history => noteProblems(history, state)),
		...operations.flatMap(operation => readProblems(operation, histories)),
		...auditProblems(state),
		...registrationProblems(operations, state),
		...state.accounts.flatMap(accountProblems),
		...state.brokenChains.map(detail => ({ rule: "audit", detail }) as const),
		...state.miscounted.map(detail => ({ rule: "miscounted", detail }) as const),
		...state.unsettled.map(detail => ({ rule: "not settled", detail }) as const)
	];
}

function answerProblems(operation: Operation, { noAnswer, failures }: Allowance): Violation[] {
	const { status, breach, outcome } = operation;
	if (breach) return [{ rule: "undocumented answer", detail: `${describe(operation)}: ${breach}` }];
	if (status === 0 && !noAnswer) return [{ rule: "no answer", detail: describe(operation) }];
	if (outcome === "unknown" && status >= 500 && !failures) return [{ rule: "failed", detail: describe(operation) }];
	return [];
}

function noteProblems(history: NoteHistory, state: FinalState): Violation[] {
	const { note, user } = history;
	const rows = state.notes.filter(row => row.note === note);
	if (rows.length > 1) return [{ rule: "doubled", detail: `${note} is there ${rows.length} times` }];

	const [row] = rows;
	const texts = endOf(history);
	const stored = row && !row.deleted ? row.text : null;
	const listed = (state.listed.get(user) ?? []).filter(seen => seen.note === note);
	const problems: Violation[] = [];
	if (!texts.has(stored)) problems.push(wrongEnd(history, stored, row));
	if (listed.length !== (stored === null ? 0 : 1) || listed.some(seen => seen.text !== stored))
		problems.push({
			rule: "not what was written",
			detail: `${note} is listed ${listed.length} times, not as it is stored`
		});
	return [...problems, ...versionProblems(history, row), ...refusalProblems(history)];
}

function wrongEnd({ note, operations }: NoteHistory, stored: string | null, row: NoteRow | undefined): Violation {
	const of = (outcome: Operation["outcome"], kind: Operation["kind"]) =>
		operations.some(operation => operation.outcome === outcome && operation.kind === kind);
	const isRefused = operations.some(({ text, outcome }) => outcome === "refused" && text === stored);
	if (stored !== null && isRefused)
		return { rule: "refused, yet done", detail: `${note} holds what was refused: ${stored}` };
	if (stored !== null && of("done", "remove")) return { rule: "came back", detail: `${note} was deleted and is there` };
	if (stored === null && of("done", "create"))
		return { rule: "lost", detail: `${note} was acknowledged and is ${row ? "deleted" : "not there"}` };
	return { rule: "not what was written", detail: `${note} holds ${stored}` };
}

/** Each update adds one to the version: a doubled one shows even where it wrote the same. */
function versionProblems({ note, operations }: NoteHistory, row: NoteRow | undefined): Violation[] {
	if (!row) return [];
	const updates = operations.filter(operation => operation.kind === "update");
	const least = 1 + updates.filter(operation => operation.outcome === "done").length;
	const most = least + updates.filter(operation => operation.outcome === "unknown").length;
	if (row.version > most)
		return [{ rule: "doubled", detail: `${note} has version ${row.version}, ${most} at most expected` }];
	if (row.version < least)
		return [{ rule: "lost", detail: `${note} has version ${row.version}, ${least} at least expected` }];
	return [];
}

/** A client that is alone with its note and in no doubt about it gives no reason for a refusal. */
function refusalProblems({ operations }: NoteHistory): Violation[] {
	const firstDoubt = operations.findIndex(operation => operation.outcome === "unknown");
	const isCertain = (index: number) => firstDoubt < 0 || index < firstDoubt;
	return operations
		.filter(({ outcome, kind }, index) => outcome === "refused" && (isCertain(index) || kind === "create"))
		.map(operation => ({ rule: "refused without reason", detail: describe(operation) }));
}

function readProblems(operation: Operation, histories: ReadonlyMap<string, NoteHistory>): Violation[] {
	const { kind, user, note, began, ended, seen, total, outcome } = operation;
	if (kind !== "read" && kind !== "list") return [];
	if (outcome === "refused" && !seen) return [{ rule: "refused without reason", detail: describe(operation) }];
	if (outcome !== "done" || !seen) return [];

	const wrong = (shown: SeenNote | { note: string; text: null }): Violation[] => {
		const history = histories.get(shown.note);
		const isPossible = history?.user === user && possibleTexts(history, began, ended).has(shown.text);
		return isPossible
			? []
			: [{ rule: "wrong read", detail: `${describe(operation)} showed ${shown.note}: ${shown.text}` }];
	};
	if (kind === "read") return wrong(seen[0] ?? { note, text: null });

	const own = [...histories.values()].filter(history => history.user === user);
	const possible = own.map(history => possibleTexts(history, began, ended));
	const most = possible.filter(texts => [...texts].some(text => text !== null)).length;
	const least = possible.filter(texts => !texts.has(null)).length;
	const count = total ?? seen.length;
	const problems = seen.flatMap(wrong);
	if (count < least || count > most)
		problems.push({ rule: "wrong read", detail: `${describe(operation)} counted ${count}, not ${least} to ${most}` });
	return problems;
}

/** The log holds every change that was made, once. */
function auditProblems({ notes, audited }: FinalState): Violation[] {
	const counts = new Map<string, number>();
	for (const entry of audited) counts.set(entry, (counts.get(entry) ?? 0) + 1);
	return notes.flatMap(({ id, note, version, deleted }) => {
		const expected = { "note.create": 1, "note.update": version - 1, "note.remove": deleted ? 1 : 0 };
		return Object.entries(expected)
			.map(([action, count]) => ({ action, count, found: counts.get(`${action} ${id}`) ?? 0 }))
			.filter(({ count, found }) => count !== found)
			.map(({ action, count, found }): Violation => {
				return { rule: "audit", detail: `${note}: ${count} times ${action}, ${found} times in the log` };
			});
	});
}

function registrationProblems(operations: readonly Operation[], { accounts }: FinalState): Violation[] {
	const attempts = Map.groupBy(
		operations.filter(operation => operation.kind === "register"),
		operation => operation.user
	);
	return [...attempts].flatMap(([user, tries]): Violation[] => {
		const problem = (detail: string): Violation[] => [{ rule: "registration", detail: `${user}: ${detail}` }];
		const rows = accounts.filter(account => account.user === user);
		const refused = tries.find(({ outcome }) => outcome === "refused");
		if (refused) return problem(`refused with ${refused.status}`);
		if (rows.length > 1) return problem(`registered ${rows.length} times`);
		const [row] = rows;
		if (!row) return tries.some(({ outcome }) => outcome === "done") ? problem("acknowledged and not there") : [];
		if (row.status !== "ACTIVE") return problem(`is ${row.status} for good`);
		if (row.grants !== 1 || row.balance !== WELCOME_POINTS)
			return problem(`has ${row.balance} points from ${row.grants} grants`);
		return [];
	});
}

/** What was granted for a registration that was taken back was taken back, too. */
function accountProblems({ status, grants, balance }: AccountRow): Violation[] {
	if (status !== "ABSENT" || (grants === 0 && balance === 0)) return [];
	return [{ rule: "registration", detail: `nobody has ${balance} points from ${grants} grants` }];
}

function describe({ kind, note, user, status, began }: Operation): string {
	return `${kind} ${note || user} (status ${status}, at ${(began / 1000).toFixed(2)} s)`;
}
