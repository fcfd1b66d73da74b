import assert from "node:assert/strict";
import { it } from "node:test";
import { QueryTypes, type Sequelize } from "sequelize";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import { auditEntryModel } from "../../../models/audit-entry.model.ts";
import { auditHeadModel } from "../../../models/audit-head.model.ts";
import { migrate } from "../../../models/migrator.ts";
import { auditCursors, type ChainedFact } from "../../../services/audit/audit.domain.ts";
import {
	type AuditEntryTable,
	type AuditHeadTable,
	type AuditStore,
	auditStore
} from "../../../services/audit/audit.store.ts";
import { verdictOf, verdictsOf } from "../../../services/audit/audit.verify.ts";
import { onEachDatabase } from "../../support/databases.ts";

const START = Date.UTC(2026, 0, 1);

function fact(sequence: number, changes: Partial<ChainedFact> = {}): ChainedFact {
	return {
		source: "note",
		sequence,
		event_id: `e${sequence}`,
		time: START + sequence * 1000,
		user_id: sequence % 3,
		action: sequence % 2 ? "note.create" : "note.remove",
		object_type: "note",
		object_id: String(sequence),
		outcome: sequence % 5 ? "done" : "refused",
		error: null,
		request_id: "r",
		trace_id: "0".repeat(32),
		details: "{}",
		...changes
	};
}

/** A copy for one connection: Sequelize writes into it. */
function columnsOf(define: object): object {
	return Object.fromEntries(
		Object.entries(define).map(([name, column]) => [
			name,
			"allowNull" in column || "primaryKey" in column ? { ...column } : column
		])
	);
}

await onEachDatabase("The audit log", databases => {
	const start = async (t: { after(end: () => Promise<void>): void }, count: number) => {
		const { sequelize, release } = acquire(await databases.create());
		t.after(release);
		await migrate(sequelize, "audit");
		const define = (model: typeof auditEntryModel | typeof auditHeadModel) =>
			sequelize.define(model.name, columnsOf(model.define) as never, { ...model.options } as never);
		const store = auditStore(
			sequelize,
			define(auditEntryModel) as unknown as AuditEntryTable,
			define(auditHeadModel) as unknown as AuditHeadTable
		);
		const appendOne = async (one: ChainedFact) => {
			const [isNew] = await runInTransaction(sequelize, transaction => store.append([one], transaction));
			return isNew;
		};
		const append = (...facts: ChainedFact[]) => Promise.all(facts.map(appendOne));
		for (let sequence = 1; sequence <= count; sequence++) await append(fact(sequence));
		return { sequelize, store, append };
	};
	const verdict = async (store: AuditStore, anchor?: { position: number; hash: string }) => {
		const [head] = await store.heads();
		assert.ok(head);
		return verdictOf(store, head, anchor);
	};
	const change = (sequelize: Sequelize, sql: string) => sequelize.query(sql);

	it("an unbroken chain is found unbroken, also with facts that came out of order, twice, and at once", async t => {
		const { store, append } = await start(t, 10);
		await append(fact(13), fact(12), fact(11));
		assert.deepEqual(await append(fact(4), fact(12)), [false, false]);
		const { entries, broken } = await verdict(store);
		assert.deepEqual([entries, broken], [13, null]);
	});

	it("two chains of two sources do not disturb each other", async t => {
		const { store, append } = await start(t, 3);
		await append(fact(1, { source: "user", event_id: "u1" }));
		const verdicts = await Promise.all((await store.heads()).map(head => verdictOf(store, head)));
		assert.deepEqual(
			verdicts.map(({ source, entries, broken }) => [source, entries, broken]),
			[
				["note", 3, null],
				["user", 1, null]
			]
		);
	});

	const fields = {
		time: "time + 1",
		user_id: "99",
		action: "'note.get'",
		object_id: "NULL",
		outcome: "'done '",
		error: "'X'",
		details: `'{"a":1}'`,
		sequence: "70",
		hash: `'${"f".repeat(64)}'`
	};
	for (const [field, value] of Object.entries(fields))
		it(`verify finds a changed ${field} and names the entry`, async t => {
			const { sequelize, store } = await start(t, 8);
			await change(sequelize, `UPDATE audit_entries SET ${field} = ${value} WHERE position = 5`);
			const { broken, entries } = await verdict(store);
			assert.deepEqual([broken?.problem, broken?.position, entries], ["changed", 5, 4]);
		});

	for (const position of [1, 4, 8])
		it(`verify finds entry ${position} of 8 removed`, async t => {
			const { sequelize, store } = await start(t, 8);
			await change(sequelize, `DELETE FROM audit_entries WHERE position = ${position}`);
			const { broken } = await verdict(store);
			assert.deepEqual([broken?.problem, broken?.position], ["removed", position]);
		});

	for (const left of [6, 8])
		it(`verify finds an end of 8 that was set back to 6, with ${left} entries left, by a hash that was kept elsewhere`, async t => {
			const { sequelize, store } = await start(t, 8);
			const before = await verdict(store);
			await change(sequelize, `DELETE FROM audit_entries WHERE position > ${left}`);
			const [last] = await sequelize.query<{ hash: string }>("SELECT hash FROM audit_entries WHERE position = 6", {
				type: QueryTypes.SELECT
			});
			await change(sequelize, `UPDATE audit_heads SET position = 6, max_sequence = 6, hash = '${last?.hash}'`);
			assert.equal((await verdict(store)).broken?.problem, left === 8 ? "added" : undefined);
			const { position, hash } = before;
			assert.equal((await verdict(store, { position, hash })).broken?.problem, "removed");
		});

	it("verify finds an entry that was put behind the end", async t => {
		const { sequelize, store } = await start(t, 3);
		await change(
			sequelize,
			`INSERT INTO audit_entries (source, position, sequence, event_id, time, action, object_type, outcome, request_id,
				trace_id, details, hash)
			SELECT source, 4, 4, 'forged', time, action, object_type, outcome, request_id, trace_id, details, hash
			FROM audit_entries WHERE position = 3`
		);
		const { broken, entries } = await verdict(store);
		assert.deepEqual([broken?.problem, broken?.position, entries], ["added", 4, 3]);
	});

	it("verify finds a chain whose head was removed", async t => {
		const { sequelize, store, append } = await start(t, 3);
		await append(fact(1, { source: "user", event_id: "u1" }));
		await change(sequelize, "DELETE FROM audit_heads WHERE source = 'user'");
		const problems = (await verdictsOf(store, {})).map(({ source, broken }) => [source, broken?.problem]);
		assert.deepEqual(problems, [
			["note", undefined],
			["user", "added"]
		]);
	});

	it("verify finds a gap: a fact that was numbered at its source and never arrived", async t => {
		const { store, append } = await start(t, 4);
		await append(fact(6));
		assert.deepEqual((await verdict(store)).broken, { problem: "gap", position: null, sequence: 5, entry_id: null });
		await append(fact(5));
		assert.equal((await verdict(store)).broken, null);
	});

	it("verify finds that the first fact is missing", async t => {
		const { store, append } = await start(t, 0);
		await append(fact(2));
		assert.equal((await verdict(store)).broken?.sequence, 1);
	});

	it("facts of a source without numbers get the next one, once each, also when all come at once and again", async t => {
		const { store, sequelize } = await start(t, 0);
		const facts = Array.from({ length: 8 }, (_, i) => fact(0, { source: "api", event_id: `g${i}` }));
		const appendAll = () =>
			Promise.all(facts.map(one => runInTransaction(sequelize, transaction => store.appendNext(one, transaction))));
		assert.ok((await appendAll()).every(added => added));
		assert.ok((await appendAll()).every(added => !added));
		const { entries, broken } = await verdict(store);
		assert.deepEqual([entries, broken], [8, null]);
	});

	it("facts of several sources that come together are chained in their order, those that repeat once", async t => {
		const { store, sequelize } = await start(t, 2);
		const ofUser = { source: "user", event_id: "u1" };
		const facts = [fact(4), fact(1, ofUser), fact(2), fact(3), fact(4), fact(1, ofUser), fact(5)];
		const added = await runInTransaction(sequelize, transaction => store.append(facts, transaction));
		assert.deepEqual(added, [true, true, false, true, false, false, true]);
		const [own] = await store.heads();
		assert.ok(own);
		const chain = await store.chain(own.source, 1, 10);
		assert.deepEqual(
			chain.map(({ sequence }) => sequence),
			[1, 2, 4, 3, 5]
		);
		for (const head of await store.heads()) assert.equal((await verdictOf(store, head)).broken, null);
	});

	it("a number that a source uses for two facts is refused for good", async t => {
		const { store, sequelize, append } = await start(t, 2);
		const refusal = { type: "AUDIT_SEQUENCE_REUSED", retryable: false };
		await assert.rejects(append(fact(2, { event_id: "another" })), refusal);
		const both = [fact(3), fact(3, { event_id: "another" })];
		await assert.rejects(
			runInTransaction(sequelize, transaction => store.append(both, transaction)),
			refusal
		);
		assert.equal((await verdict(store)).entries, 2);
	});

	it("pages through a filtered list without gap or repetition while new entries arrive", async t => {
		const { store, append } = await start(t, 30);
		const seen: number[] = [];
		let cursor: string | undefined;
		do {
			const after = auditCursors.placeOf(cursor);
			const rows = await store.page({ user_id: 1, after, limit: 4 });
			seen.push(...rows.map(({ sequence }) => sequence));
			const last = rows.at(-1);
			cursor = last && auditCursors.after(last);
			if (seen.length === 4) await append(fact(31));
		} while (cursor);
		assert.deepEqual(
			seen,
			Array.from({ length: 10 }, (_, i) => 28 - 3 * i)
		);
	});

	it("filters by time, object, action and outcome", async t => {
		const { store } = await start(t, 12);
		const sequences = async (filter: object) =>
			(await store.page({ limit: 100, ...filter })).map(({ sequence }) => sequence);
		assert.deepEqual(await sequences({ from: START + 4000, to: START + 6000 }), [5, 4]);
		assert.deepEqual(await sequences({ object_type: "note", object_id: "7" }), [7]);
		assert.deepEqual(await sequences({ action: "note.remove", outcome: "refused" }), [10]);
		assert.deepEqual(await sequences({ user_id: 0, action: "note.create" }), [9, 3]);
	});

	const after = { time: START + 500_000, id: 400 };
	const filters = {
		all: {},
		"one's own": { user_id: 1 },
		"an action": { action: "note.create" },
		"an action of a user": { user_id: 1, action: "note.create" },
		"an object": { object_type: "note", object_id: "7" },
		refusals: { outcome: "refused" },
		"the next page": { user_id: 1, after },
		"a time": { from: START, to: START + 5000 }
	};
	it("reads every kind of list along an index, without sorting (EXPLAIN)", async t => {
		const { sequelize, store } = await start(t, 0);
		for (let round = 0; round < 40; round++) {
			const values = Array.from({ length: 250 }, (_, i) => {
				const n = round * 250 + i + 1;
				return `('note', ${n}, ${n}, 'e${n}', ${START + n * 1000}, ${n % 10}, 'a${n % 4}', 'note', '${n % 50}', 'done', 'r', 't', '{}', 'h')`;
			});
			await sequelize.query(
				`INSERT INTO audit_entries (source, position, sequence, event_id, time, user_id, action, object_type,
					object_id, outcome, request_id, trace_id, details, hash) VALUES ${values.join(",")}`
			);
		}
		if (databases.dialect === "mysql") await sequelize.query("ANALYZE TABLE audit_entries");
		const { mock } = t;
		for (const [name, filter] of Object.entries(filters)) {
			const statements: string[] = [];
			const query = sequelize.query.bind(sequelize) as (...parameters: unknown[]) => Promise<never>;
			const spy = mock.method(sequelize, "query", (sql: unknown, ...rest: unknown[]) => {
				statements.push(typeof sql === "string" ? sql : (sql as { query: string }).query);
				return query(sql, ...rest);
			});
			await store.page({ limit: 20, ...filter });
			spy.mock.restore();
			const explain = databases.dialect === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
			const plan = JSON.stringify(await sequelize.query(`${explain} ${statements[0]}`, { type: QueryTypes.SELECT }));
			assert.match(plan, /audit_entries_\w*time/, `${name}: ${plan}`);
			assert.doesNotMatch(plan, /filesort|TEMP B-TREE/i, `${name}: ${plan}`);
		}
	});
});
