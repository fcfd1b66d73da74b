import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Errors, Transporters } from "moleculer";
import type { Msg, NatsConnection, Subscription } from "nats";
import { untilListening } from "./nats-wait.ts";
import { type Packet, readReplySubject, replySubject } from "./reply-subject.ts";
import { type ClockMeasurement, RequestAge } from "./request-age.ts";
import { isAnswerTooLarge, refuseAnswer } from "./too-large.ts";

const REQUEST = "REQ";
const PING = "PING";
const NO_RESPONDERS = 503;
const CLOCK_PING_TIMEOUT = 1000;

/** Payload of the local event `$transporter.noResponders`: nobody is subscribed to what a packet was sent to. */
export interface NoResponders {
	/** Undefined for a request that NATS was to balance (`disableBalancer`). */
	nodeID: string | undefined;
	packet: "REQ" | "PING";
	id: string;
	/** It was for the process that the registry knows; the node may have another one by now. */
	direct: boolean;
}

/** What moleculer passes along with the serialized packet. */
interface SendMeta {
	packet?: Packet;
}

/** Where nats.js keeps its connection. */
interface NatsInternals {
	protocol: { transport: { socket?: Socket } };
}

/** What a node's INFO says where it takes requests under the id of its process, too. */
export interface DirectInfo {
	direct?: boolean;
	instanceID: string;
}

export type NatsTransporterOptions = ConstructorParameters<typeof Transporters.NATS>[0];

/**
 * moleculer's NATS transporter, and what a production registry needs from it:
 *
 * - requests and pings carry a reply subject, so that NATS reports at once when nobody listens on the other side
 *   (local event `$transporter.noResponders`);
 * - a lost connection is reported (`$transporter.disconnected`), what is waiting for an answer fails at once with a
 *   retryable error, and nothing is buffered for later; `$transporter.connected` follows when it is back;
 * - a request whose deadline passed on the way is not executed;
 * - an answer that NATS does not take for its size fails at once with ANSWER_TOO_LARGE;
 * - `refuseRequests` lets a leaving node hand its requests back to the callers.
 *
 * It speaks to nodes with moleculer's own NATS transporter; those just lack the additions.
 */
export class NatsTransporter extends Transporters.NATS {
	readonly #inbox = `_INBOX.${randomUUID().replaceAll("-", "")}`;
	readonly #requests: Subscription[] = [];
	readonly #age = new RequestAge(sender => this.#measureClock(sender));
	readonly #forAny = new Set<string>();
	#closing = false;

	/** @param options URL (several with commas) or options of `nats.connect`; the defaults find a silent server within 30 s */
	constructor(options: NatsTransporterOptions = "nats://localhost:4222") {
		const given = typeof options === "string" ? { url: options } : options;
		super({ pingInterval: 10_000, maxPingOut: 2, reconnectTimeWait: 250, reconnectJitter: 250, ...given });
	}

	override async onConnected(wasReconnect?: boolean): Promise<void> {
		if (!wasReconnect) {
			this.#closing = false;
			const client: NatsConnection = this.client;
			client.subscribe(`${this.#inbox}.>`, { callback: (_error, message) => this.#replied(message) });
			this.#followStatus(client);
			this.broker.localBus.on("$node.disconnected", ({ node }: { node: { id: string } }) => this.#age.forget(node.id));
		}
		await super.onConnected(wasReconnect);
	}

	/** Waits for NATS with a growing pause; moleculer would try every 5 s, and report each time. */
	override async connect(): Promise<void> {
		this.#closing = false;
		const { url, servers = [] } = this.opts as { url?: string; servers?: string | string[] };
		const given = url ? url.split(",").map(one => one.trim()) : [servers].flat();
		if (given.length > 0) await untilListening(given, { logger: this.logger, isOver: () => this.#closing });
		if (!this.#closing) await super.connect();
	}

	override async disconnect(): Promise<void> {
		this.#closing = true;
		// Without a connection a flush would wait for the next one.
		if (this.connected) await super.disconnect();
		else await this.client?.close();
	}

	override async subscribe(command: string, nodeID?: string): Promise<void> {
		if (command !== REQUEST) {
			await super.subscribe(command, nodeID);
			return;
		}
		const topic = this.getTopicName(command, nodeID);
		for (const address of [topic, `${topic}.${this.broker.instanceID}`]) {
			this.#requests.push(
				this.client.subscribe(address, {
					callback: (_error: Error | null, message: Msg) => this.#requested(message)
				})
			);
		}
	}

	override async subscribeBalancedRequest(action: string): Promise<void> {
		this.subscriptions.push(
			this.client.subscribe(`${this.prefix}.${REQUEST}B.${action}`, {
				queue: action,
				callback: (_error: Error | null, message: Msg) => this.#requested(message)
			})
		);
	}

	// moleculer drops all queue subscriptions before it makes the new ones; requests in between would be lost.
	override async makeBalancedSubscriptions(): Promise<void> {
		if (!this.connected) return; // it happens on the reconnect
		const previous = this.subscriptions;
		this.subscriptions = [];
		await super.makeBalancedSubscriptions();
		await this.client.flush();
		await Promise.all(previous.map(subscription => subscription.drain()));
	}

	override async publish(packet: Parameters<Transporters.NATS["publish"]>[0]): Promise<void> {
		try {
			await super.publish(packet);
		} catch (error) {
			if (!isAnswerTooLarge(packet, error)) throw error;
			refuseAnswer(packet, this.broker);
			await super.publish(packet);
		}
	}

	// The declared signature leaves the third argument out that the base class passes.
	override async send(topic: string, data: Buffer, meta?: SendMeta): Promise<void> {
		const packet = meta?.packet;
		this.#gather();
		if (!this.client || (packet?.type !== REQUEST && packet?.type !== PING)) {
			await super.send(topic, data);
			return;
		}
		const instance = this.#addressee(packet);
		const request = packet.type === REQUEST ? { sender: this.nodeID, direct: instance !== undefined } : undefined;
		const reply = replySubject(this.#inbox, packet, request);
		this.client.publish(instance ? `${topic}.${instance}` : topic, data, { reply });
	}

	/** The request with this id may be taken by any process of its node when it is sent again. */
	sendToAnyProcess(id: string): void {
		this.#forAny.add(id);
	}

	/** Stops taking requests: everything sent before has been received, everything later gets "no responders". */
	async refuseRequests(): Promise<void> {
		// `drain` keeps taking what NATS had already sent; `unsubscribe` would drop it.
		const requests = this.#requests.splice(0);
		if (this.connected) await Promise.all(requests.map(subscription => subscription.drain()));
	}

	/** The largest packet that NATS takes, in bytes; undefined without a connection. */
	get maxPayload(): number | undefined {
		const client: NatsConnection | null = this.client;
		return client?.info?.max_payload;
	}

	/** Whether the NATS server answers within `timeout` milliseconds. */
	async isResponsive(timeout: number): Promise<boolean> {
		const client: NatsConnection | null = this.client;
		if (!this.connected || !client) return false;
		const answered = client.flush().then(
			() => true,
			() => false
		);
		return Promise.race([answered, delay(timeout, false, { ref: false })]);
	}

	/** What is sent within one turn of the event loop leaves in one piece: a write of its own for each wakes the server up. */
	#gather(): void {
		const socket = (this.client as NatsInternals | null)?.protocol.transport.socket;
		if (!socket || socket.writableCorked > 0) return;
		socket.cork();
		setImmediate(() => socket.uncork());
	}

	/**
	 * The process that a request is for, where its node takes requests that way. While a second process comes up with the
	 * same node id, both are subscribed to the node's requests, and both might execute one.
	 */
	#addressee({ type, target, payload: { id = "" } }: Packet): string | undefined {
		if (type !== REQUEST || !target || this.#forAny.delete(id)) return undefined;
		const info = this.broker.registry.nodes.get(target)?.rawInfo as DirectInfo | null | undefined;
		return info?.direct ? info.instanceID : undefined;
	}

	async #requested(message: Msg): Promise<void> {
		const sent = readReplySubject(message.reply ?? "");
		if (sent?.sender && sent.sentAt > 0) {
			const { sender, sentAt, timeout } = sent;
			const verdict = this.#age.isOlder(sender, sentAt, timeout);
			if (verdict === true || (verdict !== false && (await verdict))) {
				this.logger.warn(`A request of '${sender}' came after its deadline of ${timeout} ms and is not executed.`);
				this.broker.broadcastLocal("$transporter.lateRequest", { nodeID: sender });
				return;
			}
		}
		await this.receive(REQUEST, Buffer.from(message.data));
	}

	async #measureClock(sender: string): Promise<ClockMeasurement | undefined> {
		const pong = await this.broker.ping(sender, CLOCK_PING_TIMEOUT);
		return pong ? { offset: pong.timeDiff, uncertainty: pong.elapsedTime / 2 + 1 } : undefined; // timeDiff is rounded
	}

	#replied(message: Msg): void {
		if (message.data.length > 0 || message.headers?.code !== NO_RESPONDERS) return;
		const sent = readReplySubject(message.subject);
		if (sent?.type !== REQUEST && sent?.type !== PING) return;
		const { type: packet, target: nodeID, id, direct } = sent;
		this.broker.broadcastLocal("$transporter.noResponders", { nodeID, packet, id, direct } satisfies NoResponders);
	}

	async #followStatus(client: NatsConnection): Promise<void> {
		for await (const { type } of client.status()) {
			if (this.#closing) return;
			if (type === "disconnect") this.#lost();
			else if (type === "reconnect") {
				this.logger.info("NATS client is connected again.");
				await this.onConnected(true).catch(error => this.logger.error("Could not resume after NATS was lost.", error));
			}
		}
	}

	#lost(): void {
		if (!this.connected) return;
		this.connected = false;
		this.transit.connected = false;
		this.logger.warn("The connection to NATS is lost.");
		this.broker.broadcastLocal("$transporter.disconnected", { graceFul: false });
		for (const [id, request] of this.transit.pendingRequests) {
			this.transit.removePendingRequest(id);
			request.reject(new Errors.BrokerDisconnectedError("The connection to NATS was lost"));
		}
	}
}
