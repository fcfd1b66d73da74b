import {
	type ConnectionOptions,
	createInbox,
	ErrorCode,
	type Msg,
	type MsgHdrs,
	type NatsConnection,
	NatsError
} from "nats";

/** What a stream answers to a message. */
export interface Acknowledgement {
	seq: number;
	/** The stream had it already. */
	duplicate: boolean;
}

/** https://docs.nats.io/reference/reference-protocols/nats_api_reference, "PubAck" */
type Answer = Partial<Acknowledgement> & { error?: { code: number; err_code: number; description: string } };

interface Waiting {
	resolve(acknowledgement: Acknowledgement): void;
	reject(error: NatsError): void;
	/** In milliseconds of this process. */
	until: number;
}

/** A server's answer where no stream takes a subject. */
const NO_RESPONDERS = 503;

/**
 * Publishes to streams. All acknowledgements come by one subscription and share one timer, as in the Go client's
 * `PublishAsync`. The JavaScript client's own `publish` makes a request of each message, with a timer and a race of promises, and
 * keeps it in a `Map`, which `../held.ts` tells against.
 */
export class StreamPublisher {
	readonly #connection: NatsConnection;
	readonly #timeout: number;
	readonly #inbox: string;
	/** By the last token of the subject that is answered to. Numbers rise, so the first has waited longest. */
	readonly #waiting: Record<number, Waiting> = Object.create(null);
	#last = 0;
	#timer: NodeJS.Timeout | undefined;

	/**
	 * @param timeout how long an acknowledgement is waited for, in milliseconds
	 * @param inboxPrefix of the subject of acknowledgements, as the connection's own
	 */
	constructor(connection: NatsConnection, timeout: number, { inboxPrefix }: Pick<ConnectionOptions, "inboxPrefix">) {
		this.#connection = connection;
		this.#timeout = timeout;
		this.#inbox = `${createInbox(inboxPrefix)}.`;
		connection.subscribe(`${this.#inbox}*`, {
			callback: (error, message) => (error ? this.#giveUp(error) : this.#answered(message))
		});
		void connection.closed().then(() => this.#giveUp(NatsError.errorForCode(ErrorCode.ConnectionClosed)));
	}

	/** Resolves when the stream has stored the message. @throws NatsError */
	publish(subject: string, data: string, headers: MsgHdrs): Promise<Acknowledgement> {
		const { promise, resolve, reject } = Promise.withResolvers<Acknowledgement>();
		const token = ++this.#last;
		this.#waiting[token] = { resolve, reject, until: performance.now() + this.#timeout };
		this.#timer ??= this.#lookAfter(this.#timeout);
		try {
			this.#connection.publish(subject, data, { headers, reply: this.#inbox + token });
		} catch (error) {
			this.#take(token)?.reject(error as NatsError);
		}
		return promise;
	}

	#take(token: number): Waiting | undefined {
		const waiting = this.#waiting[token];
		delete this.#waiting[token];
		return waiting;
	}

	#answered(message: Msg): void {
		const waiting = this.#take(Number(message.subject.slice(this.#inbox.length)));
		if (!waiting) return;
		if (message.headers?.code === NO_RESPONDERS) {
			waiting.reject(NatsError.errorForCode(ErrorCode.NoResponders));
			return;
		}
		const { error, seq, duplicate = false } = answerIn(message);
		if (error)
			waiting.reject(Object.assign(new NatsError(error.description, String(error.code)), { api_error: error }));
		else if (typeof seq === "number") waiting.resolve({ seq, duplicate });
		else waiting.reject(NatsError.errorForCode(ErrorCode.JetStreamInvalidAck));
	}

	#timedOut(): void {
		const now = performance.now();
		this.#giveUp(NatsError.errorForCode(ErrorCode.Timeout), now);
		const [next] = Object.values(this.#waiting);
		this.#timer = next && this.#lookAfter(next.until - now);
	}

	/** It is the connection that keeps the process running. */
	#lookAfter(milliseconds: number): NodeJS.Timeout {
		return setTimeout(() => this.#timedOut(), milliseconds).unref();
	}

	/** Gives up what may not wait until a time, or everything. */
	#giveUp(error: NatsError, time = Number.POSITIVE_INFINITY): void {
		for (const token of Object.keys(this.#waiting).map(Number)) {
			if ((this.#waiting[token] as Waiting).until > time) return;
			this.#take(token)?.reject(error);
		}
	}
}

/** Anybody who listens to a subject may answer, whatever it likes. */
function answerIn(message: Msg): Answer {
	try {
		return message.json<Answer | null>() ?? {};
	} catch {
		return {};
	}
}
