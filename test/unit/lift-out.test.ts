import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";

interface Lift {
	files: string[];
	/** What is copied although the README leaves it to another. */
	needs?: string[];
	packages: string[];
	/** Uses what was copied, and prints `done`. */
	program: string;
}

const ofDb = (...files: string[]) => files.map(file => `mixins/db/${file}`);

const DB = `
import { ServiceBroker, type ServiceSchema } from "moleculer";
import { DataTypes } from "sequelize";
import { type DbMethods, DbMixin, type DbSettings } from "./mixins/db.mixin.ts";

const model = { name: "thing", define: { id: { type: DataTypes.BIGINT, primaryKey: true } } };
const broker = new ServiceBroker({ logger: false });
broker.createService({
	name: "thing",
	mixins: [DbMixin({ model, url: () => "sqlite::memory:" })],
	async entityCreated(thing: { id: number }) {
		await this.db.query(\`SELECT \${thing.id}\`);
	}
} satisfies ServiceSchema<DbSettings, DbMethods>);
await broker.start();
if (await broker.call("thing.ready")) console.log("done");
await broker.stop();
`;

const OUTBOX = `
import type { Sequelize, Transaction } from "sequelize";
import { throughChannels } from "./mixins/channels/publisher.ts";
import { ChannelsMixin } from "./mixins/channels.mixin.ts";
import { OutboxMixin } from "./mixins/outbox.mixin.ts";
import { createOutboxTables } from "./models/event-tables.ts";
import { Schema } from "./models/schema.ts";

const streams = [{ name: "FACTS", subjects: ["fact.>"], maxAge: 60 }, { name: "DEAD", subjects: ["dead.>"], maxAge: 60 }];
export const mixins = [
	OutboxMixin({ publisher: throughChannels }),
	ChannelsMixin({ url: () => "file:./streams.sqlite", streams, consumers: [{ name: "facts", stream: "FACTS" }] })
];
export const tables = (db: Sequelize, transaction: Transaction) => createOutboxTables(new Schema(db, transaction));
console.log("done");
`;

const RESILIENCE = `
import { ServiceBroker } from "moleculer";
import { resilience } from "./mixins/resilience.ts";

EXAMPLE
await broker.start();
await broker.stop();
console.log("done");
`;

/** What a service of the examples has beside the mixin's own. */
const SERVICE = `
import { type Context, ServiceBroker, type ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";

interface Others {
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
	notes: Record<"insert" | "remove", (about: object, transaction: Transaction) => Promise<{ id: number }>>;
}

const [model, url] = [{ name: "note" }, () => "sqlite::memory:"];
const DbMixin = (_options: object): Partial<ServiceSchema> => ({});
`;

const AUDIT = `${SERVICE}
import { AuditMixin, type AuditMethods } from "./mixins/audit.mixin.ts";
import { OutboxMixin } from "./mixins/outbox.mixin.ts";

const publisher = () => ({
	publish: async () => ({ seq: 1, duplicate: false }),
	streamState: async () => ({ created: "", lastSeq: 1 })
});
const schema: ServiceSchema<object, AuditMethods & Others> = { name: "note",
EXAMPLE
};
new ServiceBroker({ logger: false }).createService(schema);
console.log("done");
`;

const IDEMPOTENCY = `${SERVICE}
import { IdempotencyMixin, type IdempotencyMethods } from "./mixins/idempotency.mixin.ts";
import * as tables from "./models/idempotency-table.ts";

const present = (note: { id: number }) => note;
const schema: ServiceSchema<object, IdempotencyMethods & Others> = { name: "note",
EXAMPLE
};
new ServiceBroker({ logger: false }).createService(schema);
void tables;
console.log("done");
`;

/** An import that makes Node load what was copied. */
const loading = (name: string, path: string, tables: string) => `
import { ${name} } from "./${path}";
import * as tables from "./${tables}";
void [${name}, tables];
console.log("done");
`;

const CHANNELS = `
import { ServiceBroker } from "moleculer";
import { ChannelsMixin, type ChannelsMethods } from "./mixins/channels.mixin.ts";

const streams = [{ name: "FACTS", subjects: ["fact.>"], maxAge: 60 }, { name: "DEAD", subjects: ["dead.>"], maxAge: 60 }];
const consumers = [{ name: "reader", stream: "FACTS" }];
const broker = new ServiceBroker({ logger: false });
const handled = Promise.withResolvers<string>();
const service = broker.createService({
	name: "thing",
	mixins: [ChannelsMixin({ url: () => "file:./streams.sqlite", streams, consumers })],
	channels: { reader: async (_ctx, { data }) => handled.resolve(data) }
});
await broker.start();
const { channels } = service as unknown as ChannelsMethods;
await channels.publish({ stream: "FACTS", subject: "fact.told", id: "1", headers: {}, data: '"done"' });
console.log(JSON.parse(await handled.promise));
await broker.stop();
`;

/** What the outbox needs beside its own. */
const TRANSACTIONS = ofDb("clock.ts", "prepared.ts", "prune.ts", "redact.ts", "statement.ts");

const lifts: Record<string, Lift> = {
	db: {
		files: ["mixins/db.mixin.ts", "mixins/db/"],
		packages: ["moleculer", "moleculer-db", "moleculer-db-adapter-sequelize", "sequelize", "mysql2", "dataloader"],
		program: DB
	},
	resilience: {
		files: ["mixins/resilience.ts", "mixins/resilience/"],
		packages: ["moleculer", "cockatiel"],
		program: RESILIENCE
	},
	outbox: {
		files: [
			"mixins/outbox.mixin.ts",
			"mixins/outbox/",
			"mixins/channels.mixin.ts",
			"mixins/channels/",
			...TRANSACTIONS,
			"models/event-tables.ts",
			"models/schema.ts"
		],
		packages: ["moleculer", "sequelize", "mysql2", "dataloader", "nats"],
		program: OUTBOX
	},
	inbox: {
		files: [
			"mixins/inbox.mixin.ts",
			"mixins/inbox/",
			"models/event-tables.ts",
			"models/schema.ts",
			...ofDb("clock.ts", "prune.ts")
		],
		packages: ["moleculer", "sequelize"],
		program: loading("InboxMixin", "mixins/inbox.mixin.ts", "models/event-tables.ts")
	},
	channels: {
		files: ["mixins/channels.mixin.ts", "mixins/channels/"],
		packages: ["moleculer", "dataloader", "nats"],
		program: CHANNELS
	},
	audit: {
		files: ["mixins/audit.mixin.ts", "mixins/audit/", "mixins/outbox.mixin.ts", "mixins/outbox/"],
		needs: TRANSACTIONS,
		packages: ["moleculer", "sequelize", "mysql2", "dataloader"],
		program: AUDIT
	},
	saga: {
		files: ["mixins/saga/"],
		packages: ["moleculer", "sequelize"],
		program: loading("SagaMixin", "mixins/saga/saga.mixin.ts", "mixins/saga/migrations.ts")
	},
	idempotency: {
		files: [
			"mixins/idempotency.mixin.ts",
			"mixins/idempotency/",
			"models/idempotency-table.ts",
			"models/schema.ts",
			...ofDb("clock.ts", "prune.ts")
		],
		packages: ["moleculer", "sequelize"],
		program: IDEMPOTENCY
	}
};

/** A project with nothing in it but what is copied and the packages. */
function projectOf(name: string, { files, needs = [], packages, program }: Lift, readme: string): string {
	const folder = temporaryFolder(`lift-out-${name}`);
	for (const file of [...files, ...needs]) cpSync(file, join(folder, file), { recursive: true });
	mkdirSync(join(folder, "node_modules/@types"), { recursive: true });
	for (const needed of [...packages, "@types/node"])
		symlinkSync(resolve("node_modules", needed), join(folder, "node_modules", needed));
	const { compilerOptions } = JSON.parse(readFileSync("tsconfig.json", "utf8"));
	compilerOptions.lib = ["es2024"];
	writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["."] }));
	writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
	const example = /^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1] as string;
	writeFileSync(
		join(folder, "program.ts"),
		program.replace("EXAMPLE", () => example)
	);
	return folder;
}

for (const [name, lift] of Object.entries(lifts))
	describe(`mixins/${name}, copied into another project`, () => {
		const readme = readFileSync(`mixins/${name}/README.md`, "utf8");
		const folder = projectOf(name, lift, readme);
		const run = (...args: string[]) => spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });

		it("needs the files and packages that its README names, in these versions", () => {
			for (const file of lift.files)
				assert.ok(readme.includes(`\`${file}\``) || readme.includes(`\`${basename(file)}\``), file);
			for (const needed of lift.packages) {
				const [, named = "none"] = new RegExp(`\`${needed}\`\\s(\\d+(\\.\\d+)*)`).exec(readme) ?? [];
				const { version } = JSON.parse(readFileSync(`node_modules/${needed}/package.json`, "utf8"));
				assert.ok(`${version}.`.startsWith(`${named}.`), `${needed}: ${named}, installed is ${version}`);
			}
		});

		it("type-checks", () => {
			const { status, stdout } = run(resolve("node_modules/typescript/bin/tsc"));
			assert.deepEqual([status, stdout], [0, ""]);
		});

		it("runs", () => {
			const { stdout, stderr } = run("program.ts");
			assert.match(stdout, /^done$/m, stderr);
		});
	});
