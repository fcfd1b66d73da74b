import {
	type ActionEndpoint,
	type ActionHandler,
	type Context,
	type EndpointList,
	Errors,
	type Service,
	type ServiceBroker
} from "moleculer";
import { NatsTransporter, type NoResponders } from "./nats-transporter.ts";
import { PendingRequests } from "./pending-requests.ts";
import { WeightedStrategy } from "./strategy.ts";

const MAX_REROUTES = 5;

/** What is learnt about nodes from the requests to them. */
export interface RequestListener {
	sent(nodeID: string): void;
	/** A request is over; `answered` by the node itself, or not. */
	over(nodeID: string, answered: boolean): void;
	timedOut(nodeID: string): void;
	rerouted(): void;
}

/**
 * Wraps `transit.request`, the innermost step of every remote call: a request that certainly was not executed (nobody
 * was listening, or the node refused it because it is stopping) goes to another node at once, unless the caller chose
 * the node or sends a stream. Counts unanswered requests, which moleculer's circuit breaker does not see.
 */
export class Requests {
	readonly #broker: ServiceBroker;
	readonly #listener: RequestListener;
	readonly #undelivered = new WeakSet<object>();
	/** Errors of requests whose process is gone, while the node may have another. */
	readonly #astray = new WeakSet<object>();

	constructor(broker: ServiceBroker, listener: RequestListener) {
		this.#broker = broker;
		this.#listener = listener;
		const { transit } = broker;
		if (!transit) return;
		transit.pendingRequests = new PendingRequests();
		const send = transit.request.bind(transit);
		transit.request = (ctx: Context) => this.#request(ctx, send);
	}

	/**
	 * The transporter found nobody listening: the request it was about fails, or goes elsewhere. Returns whether the same
	 * node is asked once more. A stream cannot be sent again.
	 */
	noResponders({ id, nodeID, direct }: NoResponders): boolean {
		const { transit } = this.#broker;
		const request = transit?.pendingRequests.get(id);
		if (!transit || !request) return false;
		const again = direct && !request.ctx.options.stream;
		const error = new Errors.ServiceNotAvailableError({ action: request.ctx.action?.name, nodeID });
		this.#undelivered.add(error);
		if (again) this.#astray.add(error);
		transit.removePendingRequest(id);
		request.reject(error);
		return again;
	}

	/** Runs an action of this node, unless it was called here for a version that this node does not serve. */
	async callOwn(ctx: Context, next: ActionHandler): Promise<unknown> {
		if (ctx.nodeID === this.#broker.nodeID) this.#checkVersion(ctx);
		return next.call(ctx.service as Service, ctx);
	}

	#checkVersion(ctx: Context): void {
		const action = ctx.action?.name ?? "";
		if (!this.#accepts(ctx, ctx.endpoint as ActionEndpoint)) throw new Errors.ServiceNotAvailableError({ action });
	}

	#accepts(ctx: Context, endpoint: ActionEndpoint): boolean {
		const strategy: unknown = this.#broker.registry.getActionEndpoints(ctx.action?.name ?? "")?.strategy;
		return !(strategy instanceof WeightedStrategy) || strategy.accepts(endpoint, ctx);
	}

	async #request(ctx: Context, send: (ctx: Context) => Promise<void>): Promise<void> {
		this.#checkVersion(ctx);
		const tried = new Set<string>();
		for (;;) {
			try {
				return await this.#send(ctx, send);
			} catch (error) {
				if (this.#sendsAgain(error, ctx)) continue;
				const next = this.#isUnexecuted(error, ctx) ? this.#nextEndpoint(ctx, tried) : undefined;
				if (!next) throw error;
				this.#listener.rerouted();
				if (next.local) return this.#callLocally(ctx, next);
				ctx.setEndpoint(next);
			}
		}
	}

	async #send(ctx: Context, send: (ctx: Context) => Promise<void>): Promise<void> {
		const nodeID = ctx.nodeID;
		if (!nodeID) return send(ctx);

		const { timeout } = ctx.options;
		let open = true;
		const over = (answered: boolean): void => {
			clearTimeout(timer);
			if (open) this.#listener.over(nodeID, answered);
			open = false;
		};
		// moleculer leaves the promise of a timed out request pending for ever.
		const onTimeout = (): void => {
			over(false);
			this.#listener.timedOut(nodeID);
		};
		const timer = timeout ? setTimeout(onTimeout, timeout).unref() : undefined;
		this.#listener.sent(nodeID);
		try {
			const result = await send(ctx);
			over(true);
			return result;
		} catch (error) {
			over((error as { nodeID?: string }).nodeID === nodeID);
			throw error;
		}
	}

	/** A node may be a new process that is not registered yet, because etcd is away: it takes what no other one takes. */
	#sendsAgain(error: unknown, { id }: Context): boolean {
		const tx: unknown = this.#broker.transit?.tx;
		if (!this.#astray.has(error as object) || !(tx instanceof NatsTransporter)) return false;
		tx.sendToAnyProcess(id);
		return true;
	}

	#isUnexecuted(error: unknown, ctx: Context): boolean {
		if (this.#undelivered.has(error as object)) return true;
		if (!(error instanceof Errors.ServiceNotAvailableError || error instanceof Errors.ServiceNotFoundError))
			return false;
		// The node's own refusal, and not that of a node further down, which the action may have called.
		const { action, nodeID } = error.data as { action?: string; nodeID?: string };
		return nodeID === ctx.nodeID && action === ctx.action?.name;
	}

	#nextEndpoint(ctx: Context, tried: Set<string>): ActionEndpoint | undefined {
		const { options, action, nodeID } = ctx;
		if (!nodeID || !action?.name || options.nodeID || options.stream || tried.size >= MAX_REROUTES) return undefined;
		tried.add(nodeID);
		const list: EndpointList<ActionEndpoint> | undefined = this.#broker.registry.getActionEndpoints(action.name);
		const candidates = list?.endpoints.filter(
			endpoint => endpoint.isAvailable && !tried.has(endpoint.id) && this.#accepts(ctx, endpoint)
		);
		return candidates?.length ? (list?.select(candidates, ctx) ?? undefined) : undefined;
	}

	#callLocally(ctx: Context, endpoint: ActionEndpoint): Promise<void> {
		const copy = ctx.copy(endpoint);
		return endpoint.action.handler?.call(copy.service as never, copy);
	}
}
