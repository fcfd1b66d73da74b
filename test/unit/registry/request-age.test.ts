import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RequestAge } from "../../../mixins/etcd-registry/request-age.ts";

const LIMIT = 1000;

/** A sender whose clock is `skew` ms ahead of ours, asked by pings that answer with the truth. */
function scene(skew: number, answers = true) {
	let clock = 1_000_000;
	let pings = 0;
	const age = new RequestAge(
		async () => {
			pings++;
			return answers ? { offset: -skew, uncertainty: 1 } : undefined;
		},
		() => clock
	);
	return {
		/** Whether a message sent `delay` ms ago counts as older than the limit. */
		arrives: (delay: number) => age.isOlder("sender", clock + skew - delay, LIMIT),
		pass: (time: number) => {
			clock += time;
		},
		get pings() {
			return pings;
		}
	};
}

describe("The age of a request", () => {
	for (const skew of [0, 60_000, -60_000]) {
		it(`is told right with the sender's clock ${skew} ms ahead`, async () => {
			const one = scene(skew);
			assert.equal(await one.arrives(3), false);
			assert.equal(await one.arrives(LIMIT - 10), false);
			assert.equal(await one.arrives(LIMIT + 100), true);
			assert.equal(await one.arrives(5), false);
		});
	}

	it("is asked for once, not for each of the late requests", async () => {
		const one = scene(0);
		const verdicts = await Promise.all(Array.from({ length: 50 }, () => one.arrives(LIMIT * 5)));
		assert.ok(verdicts.every(Boolean));
		assert.equal(one.pings, 1);
		assert.equal(await one.arrives(LIMIT * 5), true);
		assert.equal(one.pings, 1);
	});

	it("is measured again when the sender's clock may have been set back", async () => {
		let skew = 0;
		let clock = 1_000_000;
		const age = new RequestAge(
			async () => ({ offset: -skew, uncertainty: 1 }),
			() => clock
		);
		assert.equal(await age.isOlder("sender", clock, LIMIT), false);
		skew = -30_000;
		clock += 60_000;
		assert.equal(await age.isOlder("sender", clock + skew, LIMIT), false);
	});

	for (const error of [-40, 0, 40]) {
		it(`is not shortened by a slow ping that is wrong by ${error} ms`, async () => {
			const clock = 1_000_000;
			const age = new RequestAge(
				async () => ({ offset: error, uncertainty: 50 }),
				() => clock
			);
			assert.equal(await age.isOlder("known", clock, LIMIT), false);
			assert.equal(await age.isOlder("known", clock - LIMIT - 5, LIMIT), true);
			assert.equal(await age.isOlder("new", clock - LIMIT - 5, LIMIT), true, "also of a sender never heard before");
		});
	}

	it("counts by the clocks alone when the sender does not answer", async () => {
		const one = scene(0, false);
		assert.equal(await one.arrives(LIMIT + 1), true);
		assert.equal(await one.arrives(1), false);
	});
});
