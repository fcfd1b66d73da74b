/** One process of the chaos run; told in the variable CHAOS what it is. */
import { setTimeout as delay } from "node:timers/promises";
import { type Context, ServiceBroker, type ServiceSchema } from "moleculer";
import { DataTypes, QueryTypes, type Sequelize, type Transaction } from "sequelize";
import { throughChannels } from "../../../mixins/channels/publisher.ts";
import { traceHeaders } from "../../../mixins/channels/trace.ts";
import { type ChannelMessage, type ChannelsMethods, ChannelsMixin } from "../../../mixins/channels.mixin.ts";
import { DbMixin } from "../../../mixins/db.mixin.ts";
import { type InboxMethods, InboxMixin } from "../../../mixins/inbox.mixin.ts";
import { type OutboxMethods, OutboxMixin } from "../../../mixins/outbox.mixin.ts";
import { ACCOUNTS, consumers, type ProcessConfig, random, streams } from "./config.ts";

interface Chaotic extends ChannelsMethods, OutboxMethods, InboxMethods {
	db: Sequelize;
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
}

interface Change {
	account: string;
	amount: number;
	version: number;
	poison?: "throws" | "kills";
}

const config = JSON.parse(process.env.CHAOS ?? "") as ProcessConfig;
const next = random(config.seed);
let passed = 0;

/** Ends this process where it was told to. */
function point(name: string): void {
	if (config.crash?.point === name && ++passed >= config.crash.after) process.kill(process.pid, "SIGKILL");
}

const table = { id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true } };
const channels = ChannelsMixin({ url: () => config.nats, streams, consumers, probe: point });
const database = (url: string) => DbMixin({ model: { name: "thing", define: table }, url: () => url, migrate: "off" });

const writer: ServiceSchema = {
	name: "writer",
	mixins: [
		OutboxMixin({
			publisher: throughChannels,
			headersOf: traceHeaders,
			relay: { lease: 1_000, pause: 100, watch: 500 },
			probe: point
		}),
		channels,
		database(config.source)
	]
};

const reader: ServiceSchema = {
	name: "reader",
	mixins: [channels, InboxMixin(), database(config.read)],
	channels: {
		async adder(this: unknown, ctx: Context<Change>, message: ChannelMessage) {
			stumble(ctx.params);
			const add = (transaction: Transaction) => addTo(service, ctx.params, transaction);
			await effect(() =>
				config.mutation === "no-inbox" ? service.transaction(add) : service.inbox.once("adder", message, add)
			);
		},
		async ledger(this: unknown, ctx: Context<Change>, message: ChannelMessage) {
			if (ctx.params.poison) return;
			const append = (transaction: Transaction) => appendTo(service, ctx.params, transaction);
			await effect(() =>
				config.mutation === "no-version-guard"
					? service.transaction(append)
					: service.inbox.inOrder("ledger", message, append)
			);
		}
	}
};

async function effect(work: () => Promise<unknown>): Promise<void> {
	if (config.mutation !== "ack-before-work") {
		await work();
		return;
	}
	setTimeout(() => work().catch(() => {}), 20);
}

function stumble({ poison }: Change): void {
	if (!config.poison || !poison) return;
	if (poison === "kills") process.kill(process.pid, "SIGKILL");
	throw new Error("poison");
}

async function addTo({ db }: Chaotic, { account, amount }: Change, transaction: Transaction): Promise<void> {
	await db.query(
		"INSERT INTO sums (account, count, sum) VALUES (:account, 1, :amount) ON DUPLICATE KEY UPDATE count = count + 1, sum = sum + :amount",
		{ replacements: { account, amount }, transaction }
	);
	point("in-effect");
}

async function appendTo({ db }: Chaotic, { account, version }: Change, transaction: Transaction): Promise<void> {
	await db.query("INSERT INTO ledger (account, version) VALUES (:account, :version)", {
		replacements: { account, version },
		transaction
	});
}

/** Changes an account and tells of it; one in twenty changes is rolled back. */
async function change(account: string, amount: number, poison?: Change["poison"]): Promise<void> {
	let told: (() => Promise<unknown>) | undefined;
	await service.transaction(async transaction => {
		const options = { replacements: { account, amount }, transaction };
		await service.db.query(
			"INSERT INTO accounts (account, version, count, sum) VALUES (:account, 1, 1, :amount) ON DUPLICATE KEY UPDATE version = version + 1, count = count + 1, sum = sum + :amount",
			options
		);
		const [row] = await service.db.query<{ version: number }>("SELECT version FROM accounts WHERE account = :account", {
			...options,
			type: QueryTypes.SELECT
		});
		const version = Number(row?.version);
		const payload: Change = { account, amount, version, ...(poison && { poison }) };
		const subject = "account.changed";
		if (config.mutation === "dual-write") {
			const id = `${account}:${version}`;
			const headers = { "event-id": id, aggregate: account, version: String(version) };
			told = () => service.channels.publish({ stream: "FACTS", subject, id, headers, data: JSON.stringify(payload) });
		} else {
			await service.outbox.add(transaction, { stream: "FACTS", subject, payload, aggregate: account, version });
		}
		point("in-transaction");
		if (next() < 0.05) throw new Error("rolled back");
	});
	point("committed");
	await told?.();
}

async function write(): Promise<void> {
	for (;;) {
		const account = `account-${Math.floor(next() * ACCOUNTS)}`;
		await change(account, 1 + Math.floor(next() * 100)).catch(() => {});
		await delay(config.pause * 2 * next());
	}
}

const broker = new ServiceBroker({ nodeID: `${config.role}-${process.pid}`, logLevel: "warn" });
const service = broker.createService(config.role === "writer" ? writer : reader) as unknown as Chaotic;
await broker.start();
if (config.role === "writer") {
	process.on("SIGUSR2", () => {
		for (const poison of ["throws", "kills"] as const)
			void change(`poison-${poison}-${process.pid}`, 1, poison).catch(() => {});
	});
	void write();
}
// Last, since who reads it may send signals at once.
process.stdout.write("started\n");
