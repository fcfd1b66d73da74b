import type { Saga } from "./definition.ts";
import type { SagaEngine } from "./engine.ts";
import type { SagaState } from "./state.ts";
import type { Due, SagaStore } from "./store.ts";

/** Settings of the coordinator. */
export interface CoordinatorOptions {
	/** Milliseconds between two looks for due sagas, give or take a quarter. */
	pollInterval: number;
	/** How many sagas one look takes, and how many taken ones this process drives at a time. */
	batch: number;
}

export interface CoordinatorParts {
	engine: Pick<SagaEngine, "claim" | "drive" | "stop">;
	store: Pick<SagaStore, "due" | "setAside">;
	definitions: readonly Saga[];
	options: CoordinatorOptions;
	/** Wraps each drive; a place for a span. */
	around(saga: SagaState, drive: () => Promise<void>): Promise<void>;
	/** Told how late a saga was found, in milliseconds. */
	onLate(late: number): void;
	onError(error: unknown): void;
}

/** How long a saga is left alone that could not be taken. */
const SET_ASIDE_MS = 60_000;
/** node:timers count in whole milliseconds and may fire up to one early, when the saga is not due yet. */
const TIMER_STEP_MS = 1;

/** Drives this process's sagas: those it begins, and those that nobody drives. Any number of them may run at once. */
export class Coordinator {
	readonly #parts: CoordinatorParts;
	readonly #drives = new Set<Promise<void>>();
	readonly #nudges = new Set<NodeJS.Timeout>();
	#poll: NodeJS.Timeout | undefined;
	/** Due sagas that this process is taking or driving. */
	readonly #taken = new Set<string>();
	/** Whether the last look left due sagas for want of room. */
	#isBehind = false;
	/** Whether a nudge came during the look that is under way, which may have missed what it was for. */
	#lookAgain = false;
	#looking: Promise<void> | undefined;
	#stopped = true;

	constructor(parts: CoordinatorParts) {
		this.#parts = parts;
	}

	/** Begins to look for due sagas. */
	start(): void {
		this.#stopped = false;
		this.nudge(0);
	}

	/** Lets drives give their sagas back, those of a look under way too, and waits for them; a drive waits for its call at most. */
	async stop(): Promise<void> {
		this.#stopped = true;
		clearTimeout(this.#poll);
		for (const timer of this.#nudges) clearTimeout(timer);
		this.#parts.engine.stop();
		await this.#looking;
		await Promise.all(this.#drives);
	}

	/** Looks for due sagas in `wait` milliseconds; a pause that is longer than a poll's is left to the polls. */
	nudge(wait: number): void {
		if (this.#stopped || wait > this.#parts.options.pollInterval) return;
		const timer = setTimeout(() => {
			this.#nudges.delete(timer);
			this.#look();
		}, wait + TIMER_STEP_MS);
		this.#nudges.add(timer);
	}

	/** Drives a saga that this process owns. Never rejects: what went wrong is told, and somebody takes the saga over. */
	drive(saga: SagaState): Promise<void> {
		const { engine, around, onError } = this.#parts;
		const drive = around(saga, () => engine.drive(saga))
			.catch(onError)
			.finally(() => this.#drives.delete(drive));
		this.#drives.add(drive);
		return drive;
	}

	#look(): void {
		const { options, onError } = this.#parts;
		// One look at a time: a slow database must not pile them up.
		if (this.#looking) {
			this.#lookAgain = true;
			return;
		}
		clearTimeout(this.#poll);
		this.#lookAgain = false;
		this.#looking = this.#takeDue()
			.then(() => {
				if (this.#isBehind && this.#taken.size < options.batch) this.#lookAgain = true;
			}, onError)
			.finally(() => {
				this.#looking = undefined;
				if (this.#lookAgain) this.nudge(0);
				else if (!this.#stopped)
					this.#poll = setTimeout(() => this.#look(), options.pollInterval * (0.75 + Math.random() / 2));
			});
	}

	async #takeDue(): Promise<void> {
		const { store, definitions, options } = this.#parts;
		const room = options.batch - this.#taken.size;
		if (room <= 0) return;
		const due = await store.due(definitions, room, [...this.#taken]);
		this.#isBehind = due.length === room;
		if (this.#stopped) return;
		for (const saga of due) {
			this.#taken.add(saga.gid);
			// None waits for another: somebody may have locked one's row.
			const drive = this.#take(saga).finally(() => this.#drives.delete(drive));
			this.#drives.add(drive);
		}
	}

	/** Never rejects. What can not be taken comes back after a while, or it would be the first of the due ones for ever. */
	async #take(due: Due): Promise<void> {
		const { engine, store, onLate, onError } = this.#parts;
		try {
			const saga = await engine.claim(due);
			if (saga) {
				onLate(due.late);
				await this.drive(saga);
			}
			this.#taken.delete(due.gid);
			if (this.#isBehind) this.nudge(0);
		} catch (error) {
			onError(new Error(`Saga ${due.gid} could not be taken`, { cause: error }));
			await store.setAside(due, SET_ASIDE_MS).catch(onError);
			this.#taken.delete(due.gid);
		}
	}
}
