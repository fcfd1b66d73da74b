import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check, type Violation } from "./check.ts";
import type { FinalState, Operation } from "./history.ts";
import {
	account,
	created,
	operation,
	read,
	registered,
	removed,
	row,
	state,
	USER,
	updated
} from "./small-histories.ts";

const STRICT = { failures: false, noAnswer: false };
const LENIENT = { failures: true, noAnswer: true };
function rules(violations: Violation[]): string[] {
	return violations.map(({ rule }) => rule);
}

interface Case {
	name: string;
	operations: Operation[];
	state: FinalState;
}

const unknown = { outcome: "unknown" } as const;
const refused = { outcome: "refused" } as const;

const kept: Case[] = [
	{ name: "a written note that is there", operations: [created(), read("a")], state: state([row()]) },
	{
		name: "an updated note",
		operations: [created(), updated(), read("b")],
		state: state([row({ text: "b", version: 2 })])
	},
	{
		name: "a deleted note that is not there",
		operations: [created(), removed(), read(null)],
		state: state([row({ deleted: true })])
	},
	{ name: "a write in doubt that was not done", operations: [created(unknown)], state: state([]) },
	{ name: "a write in doubt that was done", operations: [created(unknown)], state: state([row()]) },
	{ name: "an update in doubt that was not done", operations: [created(), updated(unknown)], state: state([row()]) },
	{
		name: "an update in doubt that was done",
		operations: [created(), updated(unknown)],
		state: state([row({ text: "b", version: 2 })])
	},
	{
		name: "a delete in doubt that was done",
		operations: [created(), removed(unknown)],
		state: state([row({ deleted: true })])
	},
	{
		name: "a read beside a write that shows what was before it",
		operations: [created(), updated({ began: 100_000, ended: 100_100 }), read("a", { began: 100_050, ended: 100_060 })],
		state: state([row({ text: "b", version: 2 })])
	},
	{
		name: "a list beside a write that counts it already",
		operations: [
			created({ began: 200_000, ended: 200_100 }),
			operation("list", { began: 200_050, ended: 200_060, total: 1, seen: [{ note: "n1", text: "a" }] })
		],
		state: state([row()])
	},
	{
		name: "a registration that was repeated until it was known",
		operations: [registered(unknown), registered()],
		state: state([], { accounts: [account()] })
	},
	{ name: "a registration in doubt that was taken back", operations: [registered(unknown)], state: state([]) },
	{
		name: "a registration that was taken back with its points",
		operations: [registered(unknown)],
		state: state([], { accounts: [account({ user: "", status: "ABSENT", grants: 0, balance: 0 })] })
	}
];

const broken: (Case & { rules: Violation["rule"][] })[] = [
	{ name: "an acknowledged write that is lost", operations: [created()], state: state([]), rules: ["lost"] },
	{
		name: "an acknowledged note that somebody has deleted",
		operations: [created()],
		state: state([row({ deleted: true })]),
		rules: ["lost"]
	},
	{
		name: "an acknowledged update that is lost",
		operations: [created(), updated()],
		state: state([row()]),
		rules: ["not what was written", "lost"]
	},
	{
		name: "a write that is there twice",
		operations: [created()],
		state: state([row(), row({ id: 8 })]),
		rules: ["doubled"]
	},
	{
		name: "a write in doubt that is there twice",
		operations: [created(unknown)],
		state: state([row(), row({ id: 8 })]),
		rules: ["doubled"]
	},
	{
		name: "an update that was done twice",
		operations: [created(), updated()],
		state: state([row({ text: "b", version: 3 })]),
		rules: ["doubled"]
	},
	{
		name: "a deleted note that is there again",
		operations: [created(), removed()],
		state: state([row()]),
		rules: ["came back"]
	},
	{
		name: "a refused update that was done",
		operations: [created(), updated(unknown), updated({ ...refused, text: "c" })],
		state: state([row({ text: "c", version: 2 })]),
		rules: ["refused, yet done"]
	},
	{
		name: "a note that holds what nobody wrote",
		operations: [created()],
		state: state([row({ text: "z" })]),
		rules: ["not what was written"]
	},
	{
		name: "a note that is stored and not listed",
		operations: [created()],
		state: state([row()], { listed: new Map([[USER, []]]) }),
		rules: ["not what was written"]
	},
	{
		name: "a refusal of a write that nothing speaks against",
		operations: [created(), updated(refused)],
		state: state([row()]),
		rules: ["refused without reason"]
	},
	{
		name: "a reader that is refused",
		operations: [created(), operation("list", { ...refused, status: 401 })],
		state: state([row()]),
		rules: ["refused without reason"]
	},
	{
		name: "a read that misses what was acknowledged before it",
		operations: [created(), read(null)],
		state: state([row()]),
		rules: ["wrong read"]
	},
	{
		name: "a read of what was changed before it",
		operations: [created(), updated(), read("a")],
		state: state([row({ text: "b", version: 2 })]),
		rules: ["wrong read"]
	},
	{
		name: "a read of what was deleted before it",
		operations: [created(), removed(), read("a")],
		state: state([row({ deleted: true })]),
		rules: ["wrong read"]
	},
	{
		name: "a list that counts too few",
		operations: [created(), operation("list", { total: 0, seen: [] })],
		state: state([row()]),
		rules: ["wrong read"]
	},
	{
		name: "a list that shows somebody else's note",
		operations: [created(), operation("list", { user: "eve", total: 1, seen: [{ note: "n1", text: "a" }] })],
		state: state([row()]),
		rules: ["wrong read", "wrong read"]
	},
	{
		name: "a change that the log does not tell of",
		operations: [created()],
		state: state([row()], { audited: [] }),
		rules: ["audit"]
	},
	{
		name: "a change that the log tells of twice",
		operations: [created()],
		state: state([row()], { audited: ["note.create 7", "note.create 7"] }),
		rules: ["audit"]
	},
	{
		name: "a number of notes that is wrong",
		operations: [],
		state: state([], { miscounted: ["user 1: 2 notes, the number kept is 3"] }),
		rules: ["miscounted"]
	},
	{ name: "a broken chain", operations: [], state: state([], { brokenChains: ["note: gap"] }), rules: ["audit"] },
	{
		name: "an acknowledged registration that is lost",
		operations: [registered()],
		state: state([]),
		rules: ["registration"]
	},
	{
		name: "a registration that is there twice",
		operations: [registered()],
		state: state([], { accounts: [account(), account()] }),
		rules: ["registration"]
	},
	{
		name: "a registration with twice the points",
		operations: [registered()],
		state: state([], { accounts: [account({ grants: 2, balance: 20 })] }),
		rules: ["registration"]
	},
	{
		name: "a registration without points",
		operations: [registered(unknown)],
		state: state([], { accounts: [account({ grants: 0, balance: 0 })] }),
		rules: ["registration"]
	},
	{
		name: "a user who stays pending",
		operations: [registered(unknown)],
		state: state([], { accounts: [account({ status: "PENDING" })] }),
		rules: ["registration"]
	},
	{
		name: "a refused registration",
		operations: [registered(refused)],
		state: state([]),
		rules: ["registration"]
	},
	{
		name: "points of nobody",
		operations: [],
		state: state([], { accounts: [account({ user: "", status: "ABSENT" })] }),
		rules: ["registration"]
	},
	{
		name: "an outbox that does not empty",
		operations: [],
		state: state([], { unsettled: ["3 rows"] }),
		rules: ["not settled"]
	},
	{
		name: "an undocumented answer",
		operations: [created({ ...unknown, status: 502, breach: "502 is not documented" })],
		state: state([]),
		rules: ["undocumented answer"]
	}
];

describe("The checker of the chaos run", () => {
	for (const { name, operations, state } of kept)
		it(`accepts ${name}`, () => assert.deepEqual(check(operations, state, LENIENT), []));

	for (const { name, operations, state, rules: expected } of broken)
		it(`finds ${name}`, () => assert.deepEqual(rules(check(operations, state, LENIENT)), expected));

	for (const [rule, doubtful] of [
		["failed", created(unknown)],
		["no answer", created({ ...unknown, status: 0 })]
	] as const)
		it(`finds "${rule}" where the fault gives no reason for it`, () => {
			assert.deepEqual(rules(check([doubtful], state([]), STRICT)), [rule]);
			assert.deepEqual(check([doubtful], state([]), LENIENT), []);
		});
});
