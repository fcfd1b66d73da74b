const LONGEST_PAUSE = 1000;

interface Node {
	pending: number;
	/** Whether it has answered anything since the timer was set. */
	heard: boolean;
	timer: NodeJS.Timeout;
}

/**
 * Looks after nodes that owe an answer: when a node has said nothing for `checkAfter` milliseconds although requests are
 * pending, it is checked, and again after twice the time, up to a second. So a request that vanished with a process
 * that had just died is noticed, while nodes that answer, or have nothing to answer, cost no message.
 */
export class PendingChecks {
	readonly #checkAfter: number;
	readonly #check: (nodeID: string) => void;
	readonly #nodes = new Map<string, Node>();

	constructor(checkAfter: number, check: (nodeID: string) => void) {
		this.#checkAfter = checkAfter;
		this.#check = check;
	}

	/** Requests to a node that have no answer yet. */
	pending(nodeID: string): number {
		return this.#nodes.get(nodeID)?.pending ?? 0;
	}

	/** A request was sent. */
	sent(nodeID: string): void {
		const node = this.#nodes.get(nodeID);
		if (node) node.pending++;
		else this.#nodes.set(nodeID, { pending: 1, heard: false, timer: this.#timer(nodeID, this.#checkAfter) });
	}

	/** A request is over: `answered` by the node, or not. */
	over(nodeID: string, answered: boolean): void {
		const node = this.#nodes.get(nodeID);
		if (!node) return;
		node.pending--;
		node.heard ||= answered;
		if (node.pending > 0) return;
		clearTimeout(node.timer);
		this.#nodes.delete(nodeID);
	}

	#timer(nodeID: string, pause: number): NodeJS.Timeout {
		return setTimeout(() => this.#due(nodeID, pause), pause).unref();
	}

	#due(nodeID: string, pause: number): void {
		const node = this.#nodes.get(nodeID);
		if (!node) return;
		if (!node.heard) this.#check(nodeID);
		node.timer = this.#timer(nodeID, node.heard ? this.#checkAfter : Math.min(pause * 2, LONGEST_PAUSE));
		node.heard = false;
	}
}
