import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backoffDelay } from "../../../mixins/etcd-registry/backoff.ts";
import { resolveOptions } from "../../../mixins/etcd-registry/options.ts";

describe("The registry's options", () => {
	const endpoints = ["http://127.0.0.1:2379"];

	it("have defaults, also for what is given as undefined or in part", () => {
		const { ttl, backoff, suspects } = resolveOptions({
			endpoints,
			suspects: { timeouts: 9 },
			...({ ttl: undefined } as object)
		});
		assert.deepEqual([ttl, backoff], [5, { base: 100, max: 2000 }]);
		assert.deepEqual([suspects.timeouts, suspects.pingTimeout], [9, 500]);
	});

	it("have defaults also for what is given as undefined or in part inside of another option", () => {
		const { backoff, suspects } = resolveOptions({
			endpoints,
			...({ backoff: { base: undefined }, suspects: { pingTimeout: undefined, probe: { max: 9 } } } as object)
		});
		assert.deepEqual(backoff, { base: 100, max: 2000 });
		assert.deepEqual([suspects.pingTimeout, suspects.probe], [500, { base: 100, max: 9 }]);
	});

	it("need an endpoint and a lease of 2 seconds or more", () => {
		assert.throws(() => resolveOptions({ endpoints: [] }), /at least one endpoint/);
		for (const ttl of [1, 0, -5, Number.NaN]) assert.throws(() => resolveOptions({ endpoints, ttl }), /2 seconds/);
	});
});

describe("The pause between attempts", () => {
	it("doubles up to its maximum and is never less than half of the step", () => {
		const options = { base: 100, max: 2000 };
		assert.deepEqual(
			[0, 1, 2, 4, 5, 1000].map(attempt => [
				backoffDelay(options, attempt, () => 0),
				backoffDelay(options, attempt, () => 1)
			]),
			[
				[50, 100],
				[100, 200],
				[200, 400],
				[800, 1600],
				[1000, 2000],
				[1000, 2000]
			]
		);
	});
});
