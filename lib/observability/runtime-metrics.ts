import type { Service, ServiceBroker } from "moleculer";
import { count, gauge, observe, register } from "./instruments.ts";

/** How often the event loop is asked for its time, in milliseconds. */
const LAG_INTERVAL_MS = 50;

/** The part of Sequelize that knows its connections; SQLite has no pool. */
interface PoolOwner {
	db?: { connectionManager: { pool?: { using: number; waiting: number; maxSize: number } } };
}

/** What a process does apart from requests: event loop, database connections, transporter. */
export class RuntimeMetrics {
	readonly #broker: ServiceBroker;
	#lagTimer: NodeJS.Timeout | undefined;

	constructor(broker: ServiceBroker) {
		this.#broker = broker;
		register(broker, [
			{
				type: "histogram",
				name: "process.eventloop.lag",
				description: "How much later than asked a timer of the event loop ran, in milliseconds"
			},
			{
				type: "histogram",
				name: "db.statement.time",
				description: "Time of SQL statements, waiting for a connection included, in milliseconds",
				labelNames: ["operation", "table"]
			},
			{ type: "gauge", name: "db.pool.using", description: "Connections in use", labelNames: ["service"] },
			{ type: "gauge", name: "db.pool.waiting", description: "Waiting for a connection", labelNames: ["service"] },
			{ type: "gauge", name: "db.pool.size", description: "Connections at most", labelNames: ["service"] },
			{
				type: "counter",
				name: "transporter.disconnects.total",
				description: "Times that the connection to NATS was lost",
				known: [{}]
			},
			{
				type: "counter",
				name: "transporter.reconnects.total",
				description: "Times that the connection to NATS came back",
				known: [{}]
			},
			{ type: "counter", name: "tracing.spans.lost.total", description: "Spans that were not exported", known: [{}] }
		]);
		broker.localBus.on("$transporter.disconnected", () => count(broker, "transporter.disconnects.total"));
		broker.localBus.on("$transporter.connected", ({ wasReconnect }: { wasReconnect: boolean }) => {
			if (wasReconnect) count(broker, "transporter.reconnects.total");
		});
	}

	start(): void {
		let last = performance.now();
		this.#lagTimer = setInterval(() => {
			const now = performance.now();
			observe(this.#broker, "process.eventloop.lag", Math.max(0, now - last - LAG_INTERVAL_MS));
			last = now;
		}, LAG_INTERVAL_MS).unref();
	}

	stop(): void {
		clearInterval(this.#lagTimer);
	}

	/** Reads the database pools: a gauge has no event. */
	collect(): void {
		for (const { name, db } of this.#broker.services as (Service & PoolOwner)[]) {
			const pool = db?.connectionManager.pool;
			if (!pool) continue;
			gauge(this.#broker, "db.pool.using", pool.using, { service: name });
			gauge(this.#broker, "db.pool.waiting", pool.waiting, { service: name });
			gauge(this.#broker, "db.pool.size", pool.maxSize, { service: name });
		}
	}
}
