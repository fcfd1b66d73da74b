import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Context, ServiceBroker } from "moleculer";
import { identityError } from "../../lib/identity.ts";
import { Refusals } from "../../services/api/refusals.ts";
import type { RefusedRequests } from "../../services/audit/audit.contract.ts";

const ctx = new Context(new ServiceBroker({ logger: false }));
const refused = (action: string, user_id?: number) => ({
	action,
	error: identityError("UNAUTHENTICATED"),
	address: "192.0.2.1",
	...(user_id !== undefined && { user_id })
});

describe("Refusals of the gateway", () => {
	it("of one kind become one entry with their number", async () => {
		const refusals = new Refusals();
		for (let i = 0; i < 1_000; i++) refusals.count(ctx, refused("note.create"));
		refusals.count(ctx, refused("note.create", 7));
		let told: RefusedRequests = [];
		await refusals.tell(async entries => {
			told = entries;
		});
		assert.deepEqual(
			told.map(({ record, count, address }) => [
				record.action,
				record.error,
				record.outcome,
				record.user_id,
				count,
				address
			]),
			[
				["note.create", "UNAUTHENTICATED", "refused", null, 1_000, "192.0.2.1"],
				["note.create", "UNAUTHENTICATED", "refused", 7, 1, "192.0.2.1"]
			]
		);
	});

	it("of ten thousand kinds become 51 entries, and none is left uncounted", async () => {
		const refusals = new Refusals();
		for (let i = 0; i < 10_000; i++) refusals.count(ctx, refused("note.create", i));
		let told: RefusedRequests = [];
		await refusals.tell(async entries => {
			told = entries;
		});
		assert.equal(told.length, 51);
		assert.equal(
			told.reduce((sum, { count }) => sum + count, 0),
			10_000
		);
		assert.equal(told.at(-1)?.record.action, "*");
	});

	it("that could not be told are told again under the same ids, and later ones after them", async () => {
		const refusals = new Refusals();
		const told: string[][] = [];
		const tell = (fails: boolean) =>
			refusals.tell(async entries => {
				told.push(entries.map(({ event_id, count }) => `${event_id} ${count}`));
				if (fails) throw new Error("away");
			});
		refusals.count(ctx, refused("note.create"));
		await assert.rejects(tell(true), /away/);
		refusals.count(ctx, refused("note.create"));
		await tell(false);
		await tell(false);
		await tell(false);
		assert.equal(told.length, 3, "nothing is told where there is nothing");
		assert.deepEqual(told[1], told[0]);
		assert.notDeepEqual(told[2], told[0]);
	});

	it("that are counted while others are on their way are told after them, each once", async () => {
		const refusals = new Refusals();
		const told: string[] = [];
		const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
		const tell = () =>
			refusals.tell(entries => {
				told.push(...entries.map(({ record }) => record.action));
				return answered;
			});
		refusals.count(ctx, refused("note.create"));
		const first = tell();
		refusals.count(ctx, refused("note.update"));
		const second = tell();
		answer();
		await Promise.all([first, second]);
		assert.deepEqual(told, ["note.create", "note.update"]);
	});
});
