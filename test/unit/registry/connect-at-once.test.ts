import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { connectAtOnce } from "../../../mixins/etcd-registry/connect-at-once.ts";

it("A broker that connects at once waits for no timer of moleculer's", async t => {
	const broker = new ServiceBroker({ transporter: "Fake", logger: false });
	const connected: unknown[] = [];
	broker.localBus.on("$transporter.connected", (event: unknown) => connected.push(event));
	connectAtOnce(broker);
	t.mock.timers.enable({ apis: ["setTimeout"] });
	await broker.transit?.connect();
	assert.deepEqual(connected, [{ wasReconnect: false }]);
	assert.equal(broker.transit?.Promise, Promise, "what is promised later is as before");
	t.mock.timers.reset();
	await broker.transit?.disconnect();
});
