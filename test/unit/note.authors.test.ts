import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, Errors } from "moleculer";
import { authorDirectory } from "../../services/note/note.authors.ts";
import { until } from "../support/until.ts";

const AGES = { fresh: 20, remembered: 60_000, gather: 5 };
const ids = Array.from({ length: 50 }, (_, i) => i + 1);

/** A user service that counts how it was asked, and answers when it is let. */
function users() {
	const calls: { via: string; ids: readonly number[] }[] = [];
	let round = 0;
	let gate = Promise.resolve();
	let isAway = false;
	const caller = (via: string) => ({
		async call(_action: string, { user_ids }: { user_ids: number[] }) {
			calls.push({ via, ids: user_ids });
			const username = `name ${++round}`;
			await gate;
			if (isAway) throw new Error("The user service is away");
			return user_ids.map(user_id => ({ user_id, username, avatar: "" }));
		}
	});
	return {
		calls,
		ctx: caller("request") as unknown as Context,
		broker: caller("broker") as never,
		leave(away: boolean) {
			isAway = away;
		},
		hold() {
			const { promise, resolve } = Promise.withResolvers<void>();
			gate = promise;
			return resolve;
		}
	};
}

describe("The directory of authors", () => {
	const namesOf = async (authorsOf: ReturnType<typeof authorDirectory>, ctx: Context) =>
		new Set([...(await authorsOf(ctx, ids)).values()].map(({ username }) => username));

	it("asks once for all names that it does not know, and not again while they are fresh", async () => {
		const { ctx, broker, calls } = users();
		const authorsOf = authorDirectory(broker);
		assert.deepEqual(await namesOf(authorsOf, ctx), new Set(["name 1"]));
		assert.deepEqual(await namesOf(authorsOf, ctx), new Set(["name 1"]));
		assert.deepEqual(calls, [{ via: "request", ids }]);
	});

	it("lets nobody wait for names that have grown old: all of them are asked for by one call, meanwhile the old ones do", async () => {
		const { ctx, broker, calls, hold } = users();
		const authorsOf = authorDirectory(broker, AGES);
		await namesOf(authorsOf, ctx);
		const release = hold();
		await until("they are asked for again", async () => {
			assert.deepEqual(await namesOf(authorsOf, ctx), new Set(["name 1"]));
			return calls.length === 2;
		});
		for (let i = 0; i < 20; i++) assert.deepEqual(await namesOf(authorsOf, ctx), new Set(["name 1"]));
		release();
		await until("the new names", async () => !(await namesOf(authorsOf, ctx)).has("name 1"));
		assert.deepEqual(calls[1], { via: "broker", ids });
	});

	it("keeps the names that it knows while the user service is away, and goes on asking", async () => {
		const { ctx, broker, calls, leave } = users();
		const authorsOf = authorDirectory(broker, AGES);
		await namesOf(authorsOf, ctx);
		leave(true);
		await until("it has asked twice in vain", async () => {
			assert.deepEqual(await namesOf(authorsOf, ctx), new Set(["name 1"]));
			return calls.length > 2;
		});
		leave(false);
		await until("the new names", async () => !(await namesOf(authorsOf, ctx)).has("name 1"));
	});

	it("are no excuse for a call that breaks the contract", async () => {
		const refuses = {
			call: async () => {
				throw new Errors.ValidationError("no", "VALIDATION_ERROR");
			}
		};
		await assert.rejects(authorDirectory(refuses as never)(refuses as unknown as Context, [1]), { code: 422 });
	});
});
