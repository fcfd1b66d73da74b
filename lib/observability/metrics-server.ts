import type { IncomingMessage, ServerResponse } from "node:http";
import { type MetricRegistry, MetricReporters } from "moleculer";
import { Targets } from "./targets.ts";

interface MetricsServerOptions {
	host: string;
	port: number;
	/** Called before each scrape: the time to read what has no event. */
	onScrape: () => void;
}

/** Of this machine or of V8's inside rather than of the service; moleculer has about 100 of them. */
const EXCLUDED = [
	"os.**",
	"process.memory.heap.space.**",
	"process.memory.heap.stat.**",
	"process.arguments",
	"process.p*",
	"process.internal.**"
];

/** What moleculer adds to histograms and counters, and Prometheus works out itself, over all nodes. */
const DERIVED: readonly string[] = ["_rate", "_min", "_mean", "_max", "_variance", "_stddev"];

/**
 * moleculer's Prometheus reporter, `GET /metrics`, which also answers `GET /targets`: where the metrics of every node of
 * the mesh are, for Prometheus' HTTP service discovery.
 */
export class MetricsServer extends MetricReporters.Prometheus {
	readonly #onScrape: () => void;
	#targets!: Targets;

	constructor({ host, port, onScrape }: MetricsServerOptions) {
		// The node's id is a label of the target.
		super({ host, port, excludes: EXCLUDED, defaultLabels: () => ({}) });
		this.#onScrape = onScrape;
	}

	override init(registry: MetricRegistry): void {
		super.init(registry);
		const { broker } = registry;
		this.#targets = new Targets(broker);
		this.server.on("error", error => broker.fatal(`No metrics: ${error.message}`, error, true));
	}

	override handler(req: IncomingMessage, res: ServerResponse): void {
		if (req.url === "/targets") {
			res.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(this.#targets.list()));
			return;
		}
		this.#onScrape();
		super.handler(req, res);
	}

	override generatePrometheusResponse(): string {
		const lines = super.generatePrometheusResponse().split("\n");
		return lines.filter(line => !isDerived(line)).join("\n");
	}
}

function isDerived(line: string): boolean {
	const [name = ""] = line.split(/[ {]/, 1);
	return DERIVED.some(suffix => name.endsWith(suffix)) || line.includes('quantile="');
}
