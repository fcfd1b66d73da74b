import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LocalTransport } from "../../../mixins/channels/local/transport.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";

it("A stream in a file keeps its messages for as long as it says, and no longer", async t => {
	const folder = temporaryFolder("streams");
	t.mock.timers.enable({ apis: ["setInterval", "Date"], now: 1_000_000 });
	const transport = new LocalTransport(join(folder, "streams.sqlite"), { info() {}, warn() {} } as never);
	t.after(() => transport.close());
	await transport.declareStream({ name: "FACTS", subjects: ["fact"], maxAge: 3_600 });
	const publish = (id: string) => transport.publish({ stream: "FACTS", subject: "fact", id, headers: {}, data: "{}" });
	const first = async () => (await transport.next("FACTS", 1, "fact"))?.seq;
	await publish("a");
	t.mock.timers.tick(1_800_000);
	await publish("b");
	t.mock.timers.tick(1_740_000);
	await nextTurn();
	assert.equal(await first(), 1);
	t.mock.timers.tick(120_000);
	assert.equal(await first(), 2);
});
