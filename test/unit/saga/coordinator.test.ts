import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Coordinator } from "../../../mixins/saga/coordinator.ts";
import type { SagaState } from "../../../mixins/saga/state.ts";

const POLL_MS = 1_000;

interface Setting {
	waiting?: number;
	batch?: number;
	random?: number;
	isTaken?: boolean;
	/** When, or whether, a claim is answered. */
	granted?: (gid: string) => Promise<void>;
	answered?: Promise<void>;
}

/** A coordinator over `waiting` due sagas, each its own once `granted`, on a clock that a test moves. */
function coordinated(
	t: TestContext,
	{
		waiting = 0,
		batch = 20,
		random = 0.5,
		isTaken = false,
		granted = () => Promise.resolve(),
		answered = Promise.resolve()
	}: Setting = {}
) {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	t.mock.method(Math, "random", () => random);
	const due = Array.from({ length: waiting }, (_, i) => ({ gid: `g${i}`, epoch: 1, late: 0, isAbandoned: false }));
	const asked: number[] = [];
	const excepted: (readonly string[])[] = [];
	const setAside: string[] = [];
	const errors: unknown[] = [];
	const driven: string[] = [];
	const ends: (() => void)[] = [];
	const coordinator = new Coordinator({
		engine: {
			claim: ({ gid }) => granted(gid).then(() => (isTaken ? null : ({ gid } as SagaState))),
			drive({ gid }) {
				driven.push(gid);
				return new Promise(resolve => ends.push(resolve));
			},
			stop() {}
		},
		store: {
			async due(_definitions, limit, except = []) {
				asked.push(limit);
				excepted.push(except);
				await answered;
				return due.splice(0, limit);
			},
			async setAside({ gid }) {
				setAside.push(gid);
			}
		},
		definitions: [],
		options: { pollInterval: POLL_MS, batch },
		onLate() {},
		onError: error => void errors.push(error),
		around: (_saga, drive) => drive()
	});
	const pass = async (milliseconds: number) => {
		t.mock.timers.tick(milliseconds);
		await turn();
	};
	t.after(() => {
		for (const end of ends) end();
		assert.equal(errors.length, setAside.length);
		return coordinator.stop();
	});
	return { coordinator, asked, excepted, driven, setAside, errors, ends, pass };
}

describe("R12: a coordinator", () => {
	for (const [random, pause] of [
		[0, 750],
		[0.5, 1_000],
		[1, 1_250]
	] as const)
		it(`looks again ${pause} ms later where chance says ${random}: coordinators that began together drift apart`, async t => {
			const { coordinator, asked, pass } = coordinated(t, { random });
			coordinator.start();
			await pass(1);
			assert.equal(asked.length, 1, "the first look is at once");
			await pass(pause - 1);
			assert.equal(asked.length, 1);
			await pass(1);
			assert.equal(asked.length, 2);
		});

	it("looks when each nudge says, a millisecond later than the timer that may be early, and leaves long pauses to the polls", async t => {
		const { coordinator, asked, pass } = coordinated(t);
		coordinator.start();
		await pass(1);
		coordinator.nudge(400);
		coordinator.nudge(100);
		coordinator.nudge(POLL_MS + 1);
		coordinator.nudge(2 ** 31);
		for (const [wait, looks] of [
			[100, 1],
			[1, 2],
			[299, 2],
			[1, 3],
			[POLL_MS - 1, 3],
			[1, 4]
		] as const) {
			await pass(wait);
			assert.equal(asked.length, looks);
		}
	});

	it("looks once more after a look during which it was nudged, however often", async t => {
		const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
		const { coordinator, asked, pass } = coordinated(t, { answered });
		coordinator.start();
		await pass(1);
		coordinator.nudge(5);
		coordinator.nudge(7);
		await pass(10);
		assert.equal(asked.length, 1, "the first has no answer yet");
		answer();
		await pass(0);
		await pass(1);
		assert.equal(asked.length, 2);
		await pass(POLL_MS - 1);
		assert.equal(asked.length, 2);
	});

	it("takes as many as it may drive at a time, longest due first, and the next as soon as one has ended", async t => {
		const { coordinator, asked, driven, ends, pass } = coordinated(t, { waiting: 5, batch: 3 });
		coordinator.start();
		await pass(1);
		assert.deepEqual(driven, ["g0", "g1", "g2"]);
		await pass(2 * POLL_MS);
		assert.deepEqual(asked, [3], "it has no room, and asks for nothing");
		ends.shift()?.();
		await turn();
		await pass(1);
		assert.deepEqual(driven, ["g0", "g1", "g2", "g3"]);
		assert.deepEqual(asked, [3, 1]);
	});

	it("asks at once for others where those that it found were taken by somebody else", async t => {
		const { coordinator, asked, driven, pass } = coordinated(t, { waiting: 5, batch: 3, isTaken: true });
		coordinator.start();
		await pass(1);
		await pass(1);
		assert.deepEqual([asked, driven], [[3, 3], []]);
	});

	it("does not ask again before it is time where the last look had room left", async t => {
		const { coordinator, asked, driven, ends, pass } = coordinated(t, { waiting: 2, batch: 3 });
		coordinator.start();
		await pass(1);
		assert.deepEqual(driven, ["g0", "g1"]);
		ends.shift()?.();
		await turn();
		await pass(POLL_MS - 1);
		assert.deepEqual(asked, [3]);
	});

	it("puts off what it can not take, names it, and takes the others", async t => {
		const granted = async (gid: string) => {
			if (gid === "g0") throw new Error("unreadable");
		};
		const { coordinator, asked, driven, setAside, errors, pass } = coordinated(t, { waiting: 3, batch: 3, granted });
		coordinator.start();
		await pass(1);
		assert.deepEqual([driven, setAside], [["g1", "g2"], ["g0"]]);
		assert.match(String(errors[0]), /g0/);
		assert.equal(errors.length, 1);
		await pass(1);
		assert.deepEqual(asked, [3], "a look for others at once would be as likely to fail");
		await pass(POLL_MS);
		assert.deepEqual(asked, [3, 1], "it takes no room");
	});

	it("does not wait for one whose claim takes long, nor asks for it again meanwhile", async t => {
		const { promise: late, resolve: grant } = Promise.withResolvers<void>();
		const granted = (gid: string) => (gid === "g0" ? late : Promise.resolve());
		const { coordinator, asked, excepted, driven, ends, pass } = coordinated(t, { waiting: 2, batch: 3, granted });
		coordinator.start();
		await pass(1);
		assert.deepEqual(driven, ["g1"]);
		await pass(POLL_MS);
		assert.deepEqual(
			[asked, excepted],
			[
				[3, 1],
				[[], ["g0", "g1"]]
			]
		);
		grant();
		await pass(0);
		assert.deepEqual(driven, ["g1", "g0"]);
		for (const end of ends) end();
		await turn();
		await pass(POLL_MS);
		assert.deepEqual(excepted.at(-1), []);
	});

	it("has, when it was stopped, ended the claims that were under way, and given those sagas back", async t => {
		const { promise, resolve: grant } = Promise.withResolvers<void>();
		const granted = () => promise;
		const { coordinator, asked, driven, ends, pass } = coordinated(t, { waiting: 2, granted });
		coordinator.start();
		await pass(1);
		let stopped = false;
		const stop = coordinator.stop().then(() => {
			stopped = true;
		});
		await turn();
		assert.equal(stopped, false, "a claim is a transaction that needs the database");
		grant();
		await turn();
		assert.deepEqual([driven, stopped], [["g0", "g1"], false]);
		for (const end of ends) end();
		await stop;
		await pass(10 * POLL_MS);
		assert.deepEqual(driven, ["g0", "g1"], "and looks no more");
		assert.equal(asked.length, 1);
	});

	it("looks no more once it was stopped", async t => {
		const { coordinator, asked, pass } = coordinated(t);
		coordinator.start();
		await pass(1);
		coordinator.nudge(5);
		await coordinator.stop();
		coordinator.nudge(0);
		await pass(10 * POLL_MS);
		assert.equal(asked.length, 1);
	});
});
