import type { Definitions } from "./definition.ts";
import { Fenced, refusals } from "./errors.ts";
import type { Note } from "./fence.ts";
import type { ListFilter, OperatorStore } from "./operator-store.ts";
import { turnRound } from "./progress.ts";
import { isFinished, type Reason, type SagaState } from "./state.ts";
import type { SagaStore } from "./store.ts";
import { type Moment, timelineOf } from "./timeline.ts";

const TAKE_ATTEMPTS = 10;

/** A saga as an operator sees it: without the secret fields of its payload, and without the hash by which they could be guessed. */
export interface SagaView extends Omit<SagaState, "payloadHash"> {
	/** Whether this node has no definition for it. */
	parked: boolean;
}

export interface OperatorParts {
	store: SagaStore;
	operators: OperatorStore;
	definitions: Definitions;
	claimer: { owner: string; lease: number };
	/** Called when a saga may go on. */
	wake(): void;
	/** Called when a saga was ended. */
	ended(saga: SagaState): void;
}

/** Who intervenes, and why. */
export interface Intervention {
	gid: string;
	actor: string;
	reason: string;
}

/**
 * What an operator may do. Each intervention takes the saga over first, so that whoever drives it stops, and leaves its
 * author and reason in the timeline.
 */
export class Operator {
	readonly #parts: OperatorParts;

	constructor(parts: OperatorParts) {
		this.#parts = parts;
	}

	async list(filter: ListFilter): Promise<SagaView[]> {
		return (await this.#parts.operators.list(filter)).map(saga => this.#view(saga));
	}

	/** @throws SAGA_NOT_FOUND */
	async show(gid: string): Promise<SagaView & { timeline: Moment[] }> {
		const saga = await this.#parts.store.find(gid);
		if (!saga) throw refusals.notFound();
		return { ...this.#view(saga), timeline: timelineOf(saga, await this.#parts.operators.events(gid)) };
	}

	/** Tries waiting steps at once. */
	retry(by: Intervention): Promise<void> {
		return this.#intervene(by, "retried", (saga, note) => this.#parts.operators.hurry(saga, note));
	}

	/** Takes a step for done without a call: its action, or in a rollback its compensation. */
	skip(by: Intervention & { step: string }): Promise<void> {
		return this.#intervene(by, "skipped", async (saga, note) => {
			await this.#parts.operators.skip(saga, by.step, { ...note, step: by.step });
		});
	}

	/**
	 * Rolls a saga back; one whose rollback asks for a person ends as failed with what is left undone. An impatient second
	 * `fail` must not do that: nothing could finish the rollback any more.
	 */
	fail(by: Intervention): Promise<void> {
		return this.#intervene(by, "forced", async (saga, note) => {
			if (saga.status === "submitted") {
				const reason = note.detail as Reason;
				await this.#parts.store.abort(saga, reason, by.actor);
				return turnRound(saga, reason);
			}
			if (!saga.needsAttention) throw refusals.goesBack();
			await this.#parts.operators.giveUp(saga, note);
			saga.status = "failed";
			this.#parts.ended(saga);
		});
	}

	async #intervene(
		{ gid, actor, reason }: Intervention,
		kind: string,
		change: (saga: SagaState, note: Note) => Promise<void>
	): Promise<void> {
		const { wake } = this.#parts;
		const saga = await this.#take(gid, actor);
		try {
			await change(saga, { kind, actor, detail: { type: "OPERATOR", message: reason } });
		} catch (error) {
			throw error instanceof Fenced ? refusals.busy() : error;
		} finally {
			if (!isFinished(saga)) await this.#release(saga);
			wake();
		}
	}

	/** What was changed stays, also where another operator has taken the saga over since: then there is nothing to release. */
	async #release(saga: SagaState): Promise<void> {
		await this.#parts.store.release(saga, 0).catch(error => {
			if (!(error instanceof Fenced)) throw error;
		});
	}

	/** Takes a saga from whoever has it. Coordinators claim it meanwhile, so once may not be enough. */
	async #take(gid: string, actor: string): Promise<SagaState> {
		const { store, claimer } = this.#parts;
		for (let attempt = 1; attempt <= TAKE_ATTEMPTS; attempt++) {
			const seen = await store.find(gid);
			if (!seen) throw refusals.notFound();
			if (isFinished(seen)) throw refusals.finished();
			const saga = await store.claim(gid, seen.epoch, { ...claimer, force: true }, { kind: "claimed", actor });
			if (saga) return saga;
		}
		throw refusals.busy();
	}

	#view({ payloadHash: _secret, ...saga }: SagaState): SagaView {
		const definition = this.#parts.definitions.find(saga);
		// Without its definition nobody knows what is secret.
		const shown = Object.entries(saga.payload).filter(([field]) => definition && !definition.secret.includes(field));
		const parked = !definition && !isFinished(saga);
		return { ...saga, payload: Object.fromEntries(shown), parked };
	}
}
