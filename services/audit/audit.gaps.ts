import type { ServiceBroker } from "moleculer";
import { gauge, register } from "../../lib/observability/instruments.ts";
import type { AuditStore } from "./audit.store.ts";

const CHECK_MS = 15_000;
const METRIC = "audit.gaps";

interface Log {
	error(message: string): void;
	debug(message: string, error: unknown): void;
}

/** Raises an alarm where facts of a source are missing for longer than a check: they were numbered and did not arrive. */
export class GapWatch {
	readonly #store: Pick<AuditStore, "heads">;
	readonly #broker: ServiceBroker;
	readonly #log: Log;
	readonly #timer: NodeJS.Timeout;
	readonly #known = new Map<string, number>();

	constructor(store: Pick<AuditStore, "heads">, broker: ServiceBroker, log: Log) {
		this.#store = store;
		this.#broker = broker;
		this.#log = log;
		const description = "Facts of a source that did not arrive";
		register(broker, [{ type: "gauge", name: METRIC, labelNames: ["source"], description }]);
		this.#timer = setInterval(
			() => this.check().catch(error => log.debug("Gaps can not be looked for", error)),
			CHECK_MS
		);
		this.#timer.unref();
	}

	/** Looks once; what is missing for the second time is told. */
	async check(): Promise<void> {
		for (const { source, position, max_sequence } of await this.#store.heads()) {
			const missing = max_sequence - position;
			gauge(this.#broker, METRIC, missing, { source });
			const before = this.#known.get(source) ?? 0;
			if (missing > 0 && before > 0)
				this.#log.error(`${missing} facts of source '${source}' are missing in the audit log`);
			this.#known.set(source, missing);
		}
	}

	stop(): void {
		clearInterval(this.#timer);
	}
}
