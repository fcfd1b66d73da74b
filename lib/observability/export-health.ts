/** What is said of an exporter's failures. */
interface Log {
	warn(message: string): void;
	info(message: string): void;
}

/** Says once that spans are being lost, and once that they arrive again: an exporter tries every second. */
export class ExportHealth {
	readonly #log: () => Log;
	readonly #destination: string;
	#lost = 0;
	#failing = false;

	/** @param log asked for when there is something to say: an exporter has no logger before it is started */
	constructor(destination: string, log: () => Log) {
		this.#destination = destination;
		this.#log = log;
	}

	/** Whether the last attempt failed. */
	get failing(): boolean {
		return this.#failing;
	}

	sent(): void {
		if (!this.#failing) return;
		this.#log().info(`Spans reach ${this.#destination} again; ${this.#lost} were lost.`);
		this.#failing = false;
		this.#lost = 0;
	}

	lost(spans: number, reason: string): void {
		this.#lost += spans;
		if (this.#failing) return;
		this.#failing = true;
		this.#log().warn(`Spans do not reach ${this.#destination} and are lost, which harms no request: ${reason}`);
	}
}
