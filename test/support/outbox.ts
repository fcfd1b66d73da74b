import { ServiceBroker, type ServiceSchema } from "moleculer";
import { DataTypes, QueryTypes, type Sequelize, type Transaction } from "sequelize";
import { ChannelError, type OutgoingMessage } from "../../mixins/channels/transport.ts";
import { acquire } from "../../mixins/db/connection.ts";
import { runInTransaction } from "../../mixins/db/transaction.ts";
import { DbMixin } from "../../mixins/db.mixin.ts";
import type { InboxMethods } from "../../mixins/inbox.mixin.ts";
import { InboxMixin } from "../../mixins/inbox.mixin.ts";
import { type Fact, type OutboxMethods, OutboxMixin, type OutboxOptions } from "../../mixins/outbox.mixin.ts";
import { createInboxTables, createOutboxTables } from "../../models/event-tables.ts";
import { Schema } from "../../models/schema.ts";
import type { TestDatabases } from "./databases.ts";

interface Ends {
	after(end: () => Promise<void>): void;
}

/** A stream in memory that does what a test tells it. */
export class FakeStream {
	readonly stored: OutgoingMessage[] = [];
	created = "2026-01-01T00:00:00Z";
	lastSeq = 0;
	/** Called before a message is stored; its rejection is the publisher's. */
	before: (message: OutgoingMessage) => Promise<void> | void = () => {};

	async publish(message: OutgoingMessage): Promise<{ seq: number; duplicate: boolean }> {
		await this.before(message);
		const known = this.stored.findIndex(({ id }) => id === message.id);
		if (known >= 0) return { seq: known + 1, duplicate: true };
		this.stored.push(message);
		return { seq: ++this.lastSeq, duplicate: false };
	}

	async streamState(_name: string): Promise<{ created: string; lastSeq: number }> {
		const { created, lastSeq } = this;
		return { created, lastSeq };
	}

	/** What a server does that has lost its disk. */
	wipe(): void {
		this.stored.length = 0;
		this.lastSeq = 0;
		this.created = new Date().toISOString();
	}

	get numbers(): number[] {
		return this.stored.map(({ data }) => JSON.parse(data).n);
	}
}

export const unavailable = () => new ChannelError("CHANNELS_UNAVAILABLE", "nobody answers");

/** A service with an outbox and an inbox on a database with their tables. */
export interface Writer extends OutboxMethods, InboxMethods {
	db: Sequelize;
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
	/** Writes facts 1 to `count`, each in a transaction of its own. */
	write(numbers: number[], about?: Partial<Fact>): Promise<void>;
	rows<Row extends object>(sql: string): Promise<Row[]>;
	/** What was logged at error level. */
	errors: string[];
	stop(): Promise<void>;
}

/** Creates the tables of outbox and inbox. */
export async function prepare(url: string): Promise<void> {
	const { sequelize, release } = acquire(url);
	await runInTransaction(sequelize, async transaction => {
		const schema = new Schema(sequelize, transaction);
		await createOutboxTables(schema);
		await createInboxTables(schema);
	});
	await release();
}

/** A database with the tables of outbox and inbox. @returns its URL */
export async function outboxDatabase(databases: Pick<TestDatabases, "create">): Promise<string> {
	const url = await databases.create();
	await prepare(url);
	return url;
}

/** The numbers from 1 on. */
export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** Starts a service named `writer`, which stops with the test. */
export async function startWriter(
	t: Ends,
	url: string,
	options: OutboxOptions,
	schema: Partial<ServiceSchema> = {}
): Promise<Writer> {
	const errors: string[] = [];
	const broker = new ServiceBroker({
		nodeID: `writer-${process.hrtime.bigint()}`,
		logger: {
			type: "Console",
			options: { level: "error", formatter: () => [] }
		},
		logLevel: "error"
	});
	const { mixins = [], ...rest } = schema;
	const define = { id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true } };
	const model = { name: "thing", define, options: { tableName: "things", timestamps: false } };
	const service = broker.createService({
		name: "writer",
		mixins: [
			...mixins,
			OutboxMixin({ ...options, relay: { lease: 1_000, pause: 20, ...options.relay } }),
			InboxMixin(),
			// moleculer starts mixins from the end of the list.
			DbMixin({ model, url: () => url, migrate: "off" })
		],
		created() {
			this.logger.error = (...parts: unknown[]) => void errors.push(parts.map(String).join(" "));
		},
		...rest
	}) as unknown as Writer;
	await broker.start();
	let stopped: Promise<void> | undefined;
	const stop = () => (stopped ??= broker.stop());
	t.after(stop);
	return Object.assign(Object.create(service) as Writer, {
		errors,
		stop,
		async write(numbers: number[], about: Partial<Fact> = {}) {
			for (const n of numbers)
				await service.transaction(async transaction => {
					const fact = { stream: "FACTS", subject: "fact.counted", payload: { n }, ...about };
					await service.outbox.add(transaction, fact);
				});
		},
		rows<Row extends object>(sql: string) {
			return service.db.query<Row>(sql, { type: QueryTypes.SELECT });
		}
	});
}
