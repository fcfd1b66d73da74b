import { EventEmitter, once } from "node:events";
import { isFinished, type SagaState } from "./state.ts";

/** How often a row is read while somebody waits for a saga that another process may finish, in milliseconds. */
const READ_INTERVAL = 200;

/** Lets callers wait for a saga's end. */
export class Waiting {
	readonly #ends = new EventEmitter().setMaxListeners(0);
	readonly #find: (gid: string) => Promise<SagaState | null>;

	constructor(find: (gid: string) => Promise<SagaState | null>) {
		this.#find = find;
	}

	/** Tells those who wait in this process. */
	end(saga: SagaState): void {
		this.#ends.emit(saga.gid, saga);
	}

	/**
	 * Waits until a saga has finished, at most `patience` milliseconds.
	 * @returns its state then
	 */
	async forEnd(saga: SagaState, patience: number): Promise<SagaState> {
		const end = performance.now() + patience;
		let state = saga;
		while (!isFinished(state) && performance.now() < end) {
			const pause = Math.min(READ_INTERVAL, end - performance.now());
			const ended = await this.#heard(state.gid, pause);
			state = ended ?? (await this.#find(state.gid)) ?? state;
		}
		return state;
	}

	async #heard(gid: string, pause: number): Promise<SagaState | undefined> {
		try {
			const [saga] = await once(this.#ends, gid, { signal: AbortSignal.timeout(Math.max(1, Math.ceil(pause))) });
			return saga;
		} catch {
			return undefined;
		}
	}
}
