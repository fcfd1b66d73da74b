import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LocalTransport } from "../../../mixins/channels/local/transport.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { until } from "../../support/until.ts";

const MINUTE_MS = 60_000;

describe("A stream in a file", () => {
	const folder = temporaryFolder("streams");
	let files = 0;

	/** A stream that keeps its messages for `maxAge` seconds, in a time that stands still. */
	async function opened(t: TestContext, maxAge: number) {
		t.mock.timers.enable({ apis: ["setInterval", "Date"], now: 1_000_000 });
		const file = join(folder, `${++files}.sqlite`);
		const warnings: string[] = [];
		const log = { info() {}, warn: (text: string) => void warnings.push(text), error() {} };
		const transport = new LocalTransport(file, log);
		t.after(() => transport.close());
		await transport.declareStream({ name: "FACTS", subjects: ["fact"], maxAge });
		return {
			file,
			warnings,
			publish: (id: string) => transport.publish({ stream: "FACTS", subject: "fact", id, headers: {}, data: "{}" }),
			first: async () => (await transport.next("FACTS", 1, "fact"))?.seq
		};
	}

	it("keeps its messages for as long as it says, and no longer", async t => {
		const { publish, first } = await opened(t, 3_600);
		await publish("a");
		t.mock.timers.tick(30 * MINUTE_MS);
		await publish("b");
		t.mock.timers.tick(29 * MINUTE_MS);
		await nextTurn();
		assert.equal(await first(), 1);
		t.mock.timers.tick(2 * MINUTE_MS);
		assert.equal(await first(), 2);
	});

	it("keeps them for ever with a maxAge of 0", async t => {
		const { publish, first } = await opened(t, 0);
		await publish("a");
		t.mock.timers.tick(2 * MINUTE_MS);
		await nextTurn();
		assert.equal(await first(), 1);
	});

	it("removes what is too old a few at a time, and lets others work meanwhile", async t => {
		const { publish, first } = await opened(t, 30);
		await Promise.all(Array.from({ length: 1_200 }, (_, i) => publish(`m${i}`)));
		t.mock.timers.tick(MINUTE_MS);
		assert.equal(await first(), 501);
		await until("all are removed", async () => (await first()) === undefined);
	});

	it("says so where they can not be removed, and goes on", async t => {
		const { publish, first, file, warnings } = await opened(t, 30);
		await publish("a");
		const other = new DatabaseSync(file);
		t.after(() => other.close());
		other.exec("ALTER TABLE message RENAME TO away");
		t.mock.timers.tick(MINUTE_MS);
		await nextTurn();
		assert.deepEqual(warnings, ["Old messages could not be removed"]);
		other.exec("ALTER TABLE away RENAME TO message");
		t.mock.timers.tick(MINUTE_MS);
		assert.equal(await first(), undefined);
	});

	it("knows a message id no longer than it keeps messages", async t => {
		const { publish } = await opened(t, 30);
		await publish("a");
		t.mock.timers.tick(29_000);
		assert.equal((await publish("a")).duplicate, true);
		t.mock.timers.tick(2_000);
		assert.equal((await publish("a")).duplicate, false);
	});
});
