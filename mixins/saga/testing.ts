import assert from "node:assert/strict";
import { Definitions, type Saga } from "./definition.ts";
import { type CallBranch, SagaEngine } from "./engine.ts";
import { sagaFailure } from "./errors.ts";
import { turnRound } from "./progress.ts";
import { defaults } from "./sagas.ts";
import { begun, isFinished, type SagaState } from "./state.ts";
import type { SagaStore } from "./store.ts";

interface Exchange {
	action: string;
	params: object | undefined;
	answer: () => unknown;
}

/** What a participant says to the call that was expected last. */
interface Answering {
	/** It is done. */
	reply(result?: unknown): Conversation;
	/** A clear no. */
	refuse(message?: string): Conversation;
	/** Anything else that may go wrong. */
	fail(error: Error): Conversation;
}

/**
 * A definition under test, as a conversation: what the saga is expected to call, in this order, and what the
 * participants answer. Runs the real engine on memory, without a broker, a database or a pause.
 *
 * @example
 * await conversation(registration, { username: "ann" })
 * 	.expect("user.reserve", { username: "ann" }).reply({ user_id: 7 })
 * 	.expect("points.grant").refuse("closed")
 * 	.expect("points.revoke").reply()
 * 	.expect("user.release").reply()
 * 	.ends("failed", "closed");
 */
export function conversation(definition: Saga, payload: object, options: Partial<typeof defaults> = {}): Conversation {
	return new Conversation(definition, payload, options);
}

class Conversation {
	readonly #script: Exchange[] = [];
	readonly #definition: Saga;
	readonly #payload: object;
	readonly #options: Partial<typeof defaults>;

	constructor(definition: Saga, payload: object, options: Partial<typeof defaults>) {
		this.#definition = definition;
		this.#payload = payload;
		this.#options = options;
	}

	/** The next call. @param params where they matter */
	expect(action: string, params?: object): Answering {
		const answered = (answer: () => unknown) => {
			this.#script.push({ action, params, answer });
			return this;
		};
		const thrown = (error: Error) =>
			answered(() => {
				throw error;
			});
		return {
			reply: (result = null) => answered(() => result),
			refuse: (message = "no") => thrown(sagaFailure(message)),
			fail: thrown
		};
	}

	/**
	 * Runs the conversation.
	 * @param check looks at the saga when it has ended
	 * @throws AssertionError where a call or the end is not as expected, or a call is missing
	 */
	async ends(status: "succeed" | "failed", reason?: string, check?: (saga: SagaState) => void): Promise<void> {
		const calls = this.#script.values();
		// What the engine makes of an unexpected call is a try that failed; the test has to see it.
		let surprise: unknown;
		const call: CallBranch = async (action, params) => {
			const { value: expected } = calls.next();
			try {
				assert.equal(action, expected?.action ?? "the end");
				if (expected?.params) assert.deepEqual(params, expected.params);
			} catch (error) {
				surprise ??= error;
			}
			return expected?.answer();
		};
		const definitions = new Definitions([this.#definition]);
		const settings = { ...defaults, ...this.#options };
		const engine = new SagaEngine({ store: memory(), definitions, call, owner: "test", options: settings, tell() {} });
		const submission = { gid: "conversation", payload: this.#payload, traceparent: null };
		const { saga } = await engine.submit(this.#definition, submission);
		while (!isFinished(saga) && !surprise) {
			await engine.drive(saga);
			for (const step of saga.steps) step.wait = 0;
		}
		if (surprise) throw surprise;
		assert.equal(saga.status, status);
		if (reason !== undefined) assert.equal(saga.reason?.message, reason);
		assert.equal(calls.next().value?.action, undefined, "a call that did not come");
		check?.(saga);
	}
}

/** A store for one owner, which has nothing to write: the engine keeps what it knows itself. */
function memory(): SagaStore {
	const nothing = async () => {};
	return {
		find: async () => null,
		insert: async (definition, saga, { owner }) => begun(definition, saga, owner),
		due: async () => [],
		setAside: nothing,
		claim: async () => null,
		renew: nothing,
		actionDone: nothing,
		compensated: nothing,
		delay: nothing,
		abort: async (saga, reason) => turnRound(saga, reason),
		finish: nothing,
		release: nothing
	};
}
