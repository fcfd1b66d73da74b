import { randomBytes } from "node:crypto";
import type { ServiceBroker } from "moleculer";
import { Coordinator, type CoordinatorOptions } from "./coordinator.ts";
import type { Database } from "./database.ts";
import { Definitions, type Saga, type TypedSaga } from "./definition.ts";
import { type CallBranch, type EngineOptions, type Fact, SagaEngine } from "./engine.ts";
import { refusals } from "./errors.ts";
import { Housekeeping, purgeAll } from "./housekeeping.ts";
import { countFact, observeLag, registerMetrics, showStanding } from "./metrics.ts";
import { Operator } from "./operator.ts";
import { type OperatorStore, operatorStore } from "./operator-store.ts";
import { resultsOf } from "./progress.ts";
import { isFinished, type Reason, type SagaState } from "./state.ts";
import { type SagaStore, sagaStore } from "./store.ts";
import { driveSpan, parentOf, type Traced, traceparentOf } from "./trace.ts";
import { Waiting } from "./waiting.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** All settings; times in milliseconds. */
export interface SagaSettings extends EngineOptions, CoordinatorOptions {
	/** How long a finished saga is kept: longer than its participants keep barrier rows, which its id would meet if it was used again. */
	retention: number;
	/** Between two runs of the retention job. */
	retentionInterval: number;
	/**
	 * Between two looks at how things stand: for the gauges, for sagas without a definition and for sagas stored before the
	 * database's clock was set back.
	 */
	standingInterval: number;
}

export const defaults: SagaSettings = {
	lease: 15_000,
	callTimeout: 5_000,
	backoff: { base: 200, cap: 5 * MINUTE },
	ongoingDelay: 1_000,
	maxAttempts: Number.POSITIVE_INFINITY,
	attentionAfter: 10,
	pollInterval: 1_000,
	batch: 20,
	retention: 15 * DAY,
	retentionInterval: 60 * MINUTE,
	standingInterval: 15_000
};

/** Settings with the defaults filled in, also for what is undefined, as of a configuration that leaves it out. */
function withDefaults(settings: Partial<SagaSettings>): SagaSettings {
	const given = Object.entries(settings).filter(([, value]) => value !== undefined);
	return { ...defaults, ...Object.fromEntries(given) };
}

/** What the parts need of their service. */
export interface SagaHost extends Database {
	/** Tells the gauges of several owners in one process apart. */
	fullName: string;
	broker: ServiceBroker;
	logger: { error(...args: unknown[]): void; warn(...args: unknown[]): void };
}

/** How to run a saga. */
export interface RunOptions<Payload> {
	payload: Payload;
	/** 1 to 64 characters; a random one where not given. A repetition under the same id begins nothing new. */
	gid?: string | undefined;
	/** What a repetition must equal; the payload where not given. */
	fingerprint?: object;
	/** How long to wait for the end, in milliseconds. */
	wait: number;
	/** The request that it belongs to, for the trace. */
	ctx?: Traced;
}

/** What became of a saga so far. */
export interface Outcome {
	gid: string;
	status: "succeed" | "failed" | "pending";
	/** Why it was rolled back. */
	reason: Reason | null;
}

/** What a run answers. */
export interface RunOutcome<Payload, Results> extends Outcome {
	/** Whether it was begun by this run. */
	isNew: boolean;
	/** As it was stored, which may be by an earlier run. */
	payload: Payload;
	/** What the actions that are done answered, by the step's name. */
	results: Partial<Results>;
}

/** The sagas of one service: engine, coordinator and operator on its database, joined to its broker. */
export class Sagas {
	readonly operator: Operator;
	/** For tests that look at rows, and for tools. */
	readonly store: SagaStore;

	readonly #host: SagaHost;
	readonly #engine: SagaEngine;
	readonly #coordinator: Coordinator;
	readonly #waiting: Waiting;
	readonly #housekeeping: Housekeeping;
	readonly #definitions: Definitions;
	readonly #settings: SagaSettings;
	readonly #operators: OperatorStore;

	constructor(host: SagaHost, definitions: readonly Saga[], settings: Partial<SagaSettings> = {}) {
		this.#host = host;
		this.#settings = withDefaults(settings);
		this.#definitions = new Definitions(definitions);
		this.store = sagaStore(host);
		this.#operators = operatorStore(host);
		const { broker, logger } = host;
		const { store } = this;
		const owner = broker.nodeID;
		const tell = (fact: Fact) => this.#heard(fact);
		const call = branchCaller(broker);
		this.#engine = new SagaEngine({
			store,
			definitions: this.#definitions,
			call,
			owner,
			options: this.#settings,
			tell
		});
		this.#coordinator = new Coordinator({
			engine: this.#engine,
			store,
			definitions,
			options: this.#settings,
			around: (saga, drive) => traced(broker, saga, drive),
			onLate: late => observeLag(broker, late),
			onError: error => logger.error("A saga was left to the next coordinator:", error)
		});
		this.#waiting = new Waiting(store.find);
		this.#housekeeping = new Housekeeping(error => logger.error("Sagas: housekeeping failed:", error));
		this.operator = new Operator({
			store,
			operators: this.#operators,
			definitions: this.#definitions,
			claimer: { owner, lease: this.#settings.lease },
			wake: () => this.#coordinator.nudge(0),
			ended: saga => this.#heard({ kind: "failed", saga })
		});
	}

	start(): void {
		const { retention, retentionInterval, standingInterval } = this.#settings;
		const names = this.#definitions.all.map(({ name }) => name);
		registerMetrics(this.#host.broker, names);
		this.#coordinator.start();
		this.#housekeeping.every(retentionInterval, () => purgeAll(batch => this.#operators.purge(retention, batch)));
		this.#housekeeping.every(standingInterval, async () => {
			await this.#operators.bringBack();
			const parked = await this.#operators.park(this.#definitions.all, MINUTE);
			if (parked > 0) this.#host.logger.warn(`${parked} due saga(s) have a definition that this node does not know.`);
			showStanding(this.#host.broker, this.#host.fullName, await this.#operators.standing());
		});
	}

	/** Gives the sagas under way back, so that another process goes on at once. */
	async stop(): Promise<void> {
		await Promise.all([this.#coordinator.stop(), this.#housekeeping.stop()]);
	}

	/**
	 * Runs a saga and waits for its end, at most `wait` milliseconds; it goes on without the caller.
	 * @throws SAGA_GID, SAGA_OTHER_PAYLOAD
	 */
	async run<Payload extends object, Results>(
		definition: TypedSaga<Payload, Results>,
		options: RunOptions<Payload>
	): Promise<RunOutcome<Payload, Results>> {
		const { payload, wait, ctx, gid = randomBytes(16).toString("base64url"), ...rest } = options;
		const traceparent = ctx ? traceparentOf(ctx) : null;
		const { saga, isNew } = await this.#engine.submit(definition, { ...rest, gid, payload, traceparent });
		if (isNew) this.#coordinator.drive(saga);
		const end = await this.#waiting.forEnd(saga, wait);
		return { ...outcomeOf(end), isNew, payload: end.payload as Payload, results: resultsOf(end) as Partial<Results> };
	}

	/** @throws SAGA_NOT_FOUND */
	async outcome(gid: string): Promise<Outcome> {
		const saga = await this.store.find(gid);
		if (!saga) throw refusals.notFound();
		return outcomeOf(saga);
	}

	#heard(fact: Fact): void {
		const { broker, logger } = this.#host;
		countFact(broker, fact);
		if (isFinished(fact.saga)) this.#waiting.end(fact.saga);
		if (fact.kind === "released") this.#coordinator.nudge(fact.wait);
		if (fact.kind === "attention") logger.warn(`Saga ${fact.saga.gid} (${fact.saga.name}) needs attention.`);
	}
}

function outcomeOf(saga: SagaState): Outcome {
	const { gid, status, reason } = saga;
	return { gid, reason, status: status === "succeed" || status === "failed" ? status : "pending" };
}

/** Calls branches through the broker: tried by the engine alone, never answered from a cache. */
function branchCaller(broker: ServiceBroker): CallBranch {
	return (action, params, saga, { timeout, saga: { traceparent } }) => {
		const parentSpan = parentOf(traceparent);
		const meta = { saga, $cache: false };
		return broker.call(action, params, {
			meta,
			timeout,
			retries: 0,
			...(parentSpan && { parentSpan: parentSpan as never })
		});
	};
}

async function traced(broker: ServiceBroker, saga: SagaState, drive: () => Promise<void>): Promise<void> {
	const span = driveSpan(broker, saga);
	// Branches become children of this drive.
	const parent = span && traceparentOf({ requestID: span.traceID ?? null, id: span.id, tracing: span.sampled });
	if (parent) saga.traceparent = parent;
	try {
		await drive();
	} finally {
		span?.addTags({ status: saga.status });
		span?.finish();
	}
}
