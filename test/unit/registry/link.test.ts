import assert from "node:assert/strict";
import { it } from "node:test";
import { EtcdLink } from "../../../mixins/etcd-registry/link.ts";
import { resolveOptions } from "../../../mixins/etcd-registry/options.ts";
import { until } from "../../support/until.ts";

it("who waits for an etcd that is away is let go when the link is closed", { timeout: 20_000 }, async () => {
	let failures = 0;
	const nothing = () => {};
	const link = new EtcdLink(resolveOptions({ endpoints: ["http://127.0.0.1:1"] }), "moleculer/", {
		...{ snapshot: nothing, events: nothing, up: nothing, leaseGranted: nothing, leaseLost: nothing },
		down: () => void failures++
	});
	link.start();
	link.change([["moleculer/nodes/one", Buffer.from("{}")]]);
	let isSettled = false;
	const settled = link.settled().then(() => {
		isSettled = true;
	});
	await until("it was tried", () => failures > 0);
	assert.equal(isSettled, false);
	await link.close();
	await settled;
	// Nor does anybody wait who comes later.
	await link.settled();
});
