import { setTimeout as delay } from "node:timers/promises";
import { backoffDelay } from "./backoff.ts";
import type { SuspectOptions } from "./options.ts";

/** Outcome of a ping: `unknown` when the own transporter does not work, so that nothing follows about the node. */
export type PingResult = "pong" | "noResponders" | "timeout" | "unknown";

/** What suspects can do with a node; given by the discoverer. */
export interface NodeControl {
	ping(nodeID: string, timeout: number): Promise<PingResult>;
	/** Stops routing calls to the node; requests under way may still be answered. */
	suspend(nodeID: string): void;
	/** Takes the node out and rejects what it was asked: its process is gone. */
	evict(nodeID: string): void;
	/** Routes calls to the node again. */
	restore(nodeID: string): void;
}

/**
 * Steers callers away from nodes that cannot answer, before their lease ends, and back when they can.
 *
 * Two signals start it: the transporter says that nobody listens ("no responders"), then the node is suspended at once
 * and pinged; or `timeouts` requests in a row had no answer in time, then it is pinged first, since it may merely be
 * slow. A suspect is pinged with back-off until it answers or etcd removes it.
 */
export class Suspects {
	readonly #options: SuspectOptions;
	readonly #nodes: NodeControl;
	readonly #onChange: (suspects: number) => void;
	readonly #timeouts = new Map<string, number>();
	readonly #suspects = new Map<string, AbortController>();

	/** @param onChange called with the number of suspects when it may have changed */
	constructor(options: SuspectOptions, nodes: NodeControl, onChange: (suspects: number) => void = () => {}) {
		this.#options = options;
		this.#nodes = nodes;
		this.#onChange = onChange;
	}

	/** Ids of the nodes that get no calls at present, or are being checked. */
	get ids(): string[] {
		return [...this.#suspects.keys()];
	}

	/** The transporter found nobody listening for the node. */
	noResponders(nodeID: string): void {
		if (this.#suspects.has(nodeID)) return;
		this.#nodes.suspend(nodeID);
		this.#probe(nodeID, true);
	}

	/** The node owes an answer: is there anybody? Its silence proves nothing, it may be busy. */
	async check(nodeID: string): Promise<void> {
		if (this.#suspects.has(nodeID)) return;
		const result = await this.#nodes.ping(nodeID, this.#options.pingTimeout);
		if (result === "noResponders") this.noResponders(nodeID);
	}

	/** A request to the node had no answer within its time. */
	timedOut(nodeID: string): void {
		const timeouts = (this.#timeouts.get(nodeID) ?? 0) + 1;
		this.#timeouts.set(nodeID, timeouts);
		if (timeouts >= this.#options.timeouts && !this.#suspects.has(nodeID)) this.#probe(nodeID, false);
	}

	/** The node has answered a request. */
	answered(nodeID: string): void {
		this.#timeouts.delete(nodeID);
	}

	/** etcd has news from the node, or has removed it: the suspicion is over. */
	forget(nodeID: string): void {
		this.#timeouts.delete(nodeID);
		this.#suspects.get(nodeID)?.abort();
		if (this.#suspects.delete(nodeID)) this.#onChange(this.#suspects.size);
	}

	stop(): void {
		for (const nodeID of this.ids) this.forget(nodeID);
	}

	async #probe(nodeID: string, suspendedAlready: boolean): Promise<void> {
		const forgotten = new AbortController();
		this.#suspects.set(nodeID, forgotten);
		this.#onChange(this.#suspects.size);
		let suspended = suspendedAlready;
		let evicted = false;

		for (let attempt = 0; ; attempt++) {
			const result = await this.#nodes.ping(nodeID, this.#options.pingTimeout);
			if (forgotten.signal.aborted) return;
			if (result === "pong") break;
			if (result === "noResponders" && !evicted) {
				evicted = true;
				this.#nodes.evict(nodeID);
			} else if (result === "timeout" && !suspended) {
				this.#nodes.suspend(nodeID);
			}
			suspended ||= result !== "unknown";
			await delay(backoffDelay(this.#options.probe, attempt), undefined, { ref: false });
			if (forgotten.signal.aborted) return;
			if (result === "unknown" && !suspended) break;
		}
		this.forget(nodeID);
		if (suspended) this.#nodes.restore(nodeID);
	}
}
