import { type Backoff, pause } from "./backoff.ts";
import { type Definitions, NAME, type Saga, type Step } from "./definition.ts";
import { Fenced, reasonOf, refusals, verdictOf } from "./errors.ts";
import { plan, stateOf } from "./plan.ts";
import {
	assertSameSteps,
	deadlineOf,
	exhausted,
	hashOf,
	limitWaits,
	paramsOf,
	timedOut,
	turnRound
} from "./progress.ts";
import { isFinished, type NewSaga, type Reason, type SagaState } from "./state.ts";
import type { Claimer, Due, SagaStore } from "./store.ts";

/** Which call a participant gets; it travels in `ctx.meta.saga`. */
export interface Branch {
	gid: string;
	step: string;
	op: "action" | "compensate";
	/** How long ago the saga was begun, in milliseconds, by its own database's clock. */
	age: number;
}

/** Sends a call to a participant. `timeout` in milliseconds. */
export type CallBranch = (
	action: string,
	params: object,
	branch: Branch,
	options: { timeout: number; saga: SagaState }
) => Promise<unknown>;

/** What happened, for metrics and for those who wait. */
export type Fact =
	| { kind: "started" | "succeed" | "failed" | "fenced" | "attention"; saga: SagaState }
	| { kind: "tried"; saga: SagaState; branch: Branch; outcome: "succeed" | "failure" | "ongoing" | "retry" }
	| { kind: "released"; saga: SagaState; wait: number };

/** Settings of the engine; times in milliseconds. */
export interface EngineOptions {
	/** How long an owner that says nothing keeps a saga. Renewed at a third of it. */
	lease: number;
	/** How long a call may take; less than the lease. */
	callTimeout: number;
	backoff: Backoff;
	/** The pause after a participant said "not yet". */
	ongoingDelay: number;
	/** How often an action is tried before the saga is rolled back. */
	maxAttempts: number;
	/** After how many failed tries of one step a person is asked to look, where no deadline and no limit ends the tries. */
	attentionAfter: number;
}

/** What the engine works with. */
export interface EngineParts {
	store: SagaStore;
	definitions: Definitions;
	call: CallBranch;
	/** Names this process in rows; nothing depends on it. */
	owner: string;
	options: EngineOptions;
	tell(fact: Fact): void;
}

/** A saga to begin, as the owner's code gives it. */
export interface Submission extends Omit<NewSaga, "payloadHash"> {
	/** What a repetition under the same id must equal; the payload where not given. */
	fingerprint?: object;
}

/** Begins sagas and drives them, one owner at a time. */
export class SagaEngine {
	readonly #parts: EngineParts;
	#stopping = false;

	constructor(parts: EngineParts) {
		const { lease, callTimeout } = parts.options;
		const slowest = Math.max(
			callTimeout,
			...parts.definitions.all.flatMap(({ steps }) => steps.map(step => step.timeout ?? 0))
		);
		if (slowest >= lease) throw new Error(`A saga's lease (${lease} ms) must outlast its longest call (${slowest} ms)`);
		this.#parts = parts;
	}

	/**
	 * Stores a new saga, which this process owns then and has to `drive`. Under an id that is taken, the saga that has it
	 * is answered.
	 * @throws SAGA_GID for an id that cannot be stored whole, SAGA_OTHER_PAYLOAD where the id stands for something else
	 */
	async submit(definition: Saga, submission: Submission): Promise<{ saga: SagaState; isNew: boolean }> {
		const { store, tell } = this.#parts;
		const { fingerprint, ...saga } = submission;
		if (!NAME.test(saga.gid)) throw refusals.invalidGid();
		const payloadHash = hashOf([definition.name, fingerprint ?? saga.payload]);

		const begun = await store.insert(definition, { ...saga, payloadHash }, this.#claimer);
		if (begun) {
			tell({ kind: "started", saga: begun });
			return { saga: begun, isNew: true };
		}
		const taken = await store.find(saga.gid);
		if (!taken) throw refusals.notFound();
		if (taken.payloadHash !== payloadHash) throw refusals.otherPayload(saga.gid);
		return { saga: taken, isNew: false };
	}

	/** Takes a saga over that nobody drives. @returns null where somebody else was faster */
	claim({ gid, epoch, isAbandoned }: Pick<Due, "gid" | "epoch"> & Partial<Due>): Promise<SagaState | null> {
		return this.#parts.store.claim(gid, epoch, this.#claimer, isAbandoned ? { kind: "claimed" } : undefined);
	}

	/**
	 * Drives a saga that this process owns as far as it goes: to its end, or until all that is left has to wait. Where
	 * somebody else has taken it over, it stops and says nothing.
	 * @throws Error where the definition has other steps than the saga was begun with
	 */
	async drive(saga: SagaState): Promise<void> {
		const { store, definitions, tell, options } = this.#parts;
		const definition = definitions.find(saga);
		if (!definition || isFinished(saga)) return;
		assertSameSteps(definition, saga);
		limitWaits(saga, definition, Math.max(options.backoff.cap, options.ongoingDelay));

		let renewing = Promise.resolve();
		const renewal = setInterval(() => {
			renewing = store.renew(saga, options.lease).catch(() => {});
		}, options.lease / 3);
		try {
			const wait = await this.#advance(definition, saga);
			if (wait === undefined) return;
			clearInterval(renewal);
			// A renewal that comes to the database after the release would keep the saga for nobody.
			await renewing;
			await store.release(saga, wait);
			tell({ kind: "released", saga, wait });
		} catch (error) {
			if (!(error instanceof Fenced)) throw error;
			tell({ kind: "fenced", saga });
		} finally {
			clearInterval(renewal);
		}
	}

	/** Lets every drive give its saga back after the calls that are under way. */
	stop(): void {
		this.#stopping = true;
	}

	get #claimer(): Claimer {
		return { owner: this.#parts.owner, lease: this.#parts.options.lease };
	}

	/** @returns how long it has to wait, in milliseconds; undefined where it has ended */
	async #advance(definition: Saga, saga: SagaState): Promise<number | undefined> {
		const { store, tell } = this.#parts;
		const remaining = deadlineOf(saga);
		const running = new Map<string, Promise<void>>();
		let failure: Reason | undefined;

		for (;;) {
			const next = plan(definition, saga);
			if (next.op !== "finish") {
				if (remaining() <= 0) failure ??= timedOut(definition);
				const due = failure || this.#stopping ? [] : next.steps.filter(step => stateOf(saga.steps, step).wait <= 0);
				for (const step of due.filter(({ name }) => !running.has(name))) {
					const attempt = this.#attempt(saga, step, next.op)
						.then(reason => {
							failure ??= reason;
						})
						.finally(() => running.delete(step.name));
					running.set(step.name, attempt);
				}
			}
			if (running.size > 0) {
				await Promise.race(running.values());
			} else if (next.op === "finish") {
				await store.finish(saga, next.status);
				saga.status = next.status;
				tell({ kind: next.status, saga });
				return undefined;
			} else if (failure) {
				await store.abort(saga, failure);
				turnRound(saga, failure);
				failure = undefined;
			} else {
				const waits = next.steps.map(step => stateOf(saga.steps, step).wait);
				return this.#stopping ? 0 : Math.max(0, Math.min(...waits, remaining()));
			}
		}
	}

	/** Makes one call and stores how it ended. @returns the reason to roll the saga back, if there is one now */
	async #attempt(saga: SagaState, step: Step, op: Branch["op"]): Promise<Reason | undefined> {
		const { store, call, options, tell } = this.#parts;
		const state = stateOf(saga.steps, step);
		const branch = { gid: saga.gid, step: step.name, op, age: saga.age };
		const begin = performance.now();
		let result: unknown = null;
		try {
			const action = op === "action" ? step.action : step.compensate;
			const timeout = step.timeout ?? options.callTimeout;
			if (action) result = await call(action, paramsOf(saga, step), branch, { timeout, saga });
		} catch (error) {
			return this.#putOff(saga, step, branch, error);
		}
		tell({ kind: "tried", saga, branch, outcome: "succeed" });
		if (op === "action") {
			await store.actionDone(saga, step, result, performance.now() - begin);
			Object.assign(state, { action: "succeed", result });
		} else {
			await store.compensated(saga, step);
			state.compensation = "succeed";
		}
		return undefined;
	}

	async #putOff(saga: SagaState, step: Step, branch: Branch, error: unknown): Promise<Reason | undefined> {
		const { store, options, tell } = this.#parts;
		const state = stateOf(saga.steps, step);
		const verdict = verdictOf(error);
		const reason = reasonOf(error, step.name);
		tell({ kind: "tried", saga, branch, outcome: verdict });

		const failed = verdict !== "ongoing";
		const attempts = state.attempts + (failed ? 1 : 0);
		if (branch.op === "action" && verdict === "failure") return reason;
		const most = step.maxAttempts ?? options.maxAttempts;
		if (branch.op === "action" && failed && attempts >= most) return exhausted(step, attempts, reason);

		const wait = failed ? pause(attempts, options.backoff) : options.ongoingDelay;
		const endsByItself = branch.op === "action" && (saga.remaining !== null || Number.isFinite(most));
		const attention = failed && attempts >= options.attentionAfter && !endsByItself && !saga.needsAttention;
		await store.delay(saga, step, { error: reason, wait, failed, attention });
		// A pause of nothing still ends this round: the plan must not spin.
		Object.assign(state, { attempts, wait: Math.max(1, wait), lastError: reason });
		if (!attention) return undefined;
		saga.needsAttention = true;
		tell({ kind: "attention", saga });
		return undefined;
	}
}
