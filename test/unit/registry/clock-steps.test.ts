import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { ServiceBroker } from "moleculer";
import type { InFlight } from "../../../mixins/etcd-registry/in-flight.ts";
import { EtcdDiscoverer } from "../../../mixins/etcd-registry/index.ts";
import { KeyLayout } from "../../../mixins/etcd-registry/keys.ts";
import type { EtcdLink } from "../../../mixins/etcd-registry/link.ts";
import { resolveOptions } from "../../../mixins/etcd-registry/options.ts";
import { Registrar } from "../../../mixins/etcd-registry/registrar.ts";
import { ServiceWeights } from "../../../mixins/etcd-registry/service-weights.ts";

const HOUR_MS = 3_600_000;

/** Sets the machine's clock, as NTP may. */
function step(t: TestContext, by: number): void {
	const now = Date.now.bind(Date);
	t.mock.method(Date, "now", () => now() + by);
}

describe("A step of the machine's clock", () => {
	it("shortens no drain", async t => {
		const waits: number[] = [];
		const broker = {
			nodeID: "one",
			options: { disableBalancer: true },
			getLocalNodeInfo: () => ({ services: [] }),
			transit: { pendingReqStreams: new Map(), tx: { makeBalancedSubscriptions: async () => step(t, HOUR_MS) } }
		} as unknown as ServiceBroker;
		const registrar = new Registrar(broker, { change() {}, settled: async () => {} } as unknown as EtcdLink, {
			keys: new KeyLayout("moleculer", ""),
			options: resolveOptions({ endpoints: ["http://127.0.0.1:1"], noticeDelay: 0 }),
			inFlight: { drained: async (timeout: number) => waits.push(timeout) && 0 } as unknown as InFlight,
			weights: new ServiceWeights()
		});
		registrar.announce();
		await registrar.leave();
		assert.ok((waits[0] as number) > 9_000, `${waits} ms`);
	});

	for (const by of [-HOUR_MS, HOUR_MS])
		it(`of ${by / HOUR_MS} h changes nothing about how long nodes are not judged after a reconnect`, async t => {
			t.mock.timers.enable({ apis: ["setTimeout"] });
			const discoverer = new EtcdDiscoverer({
				endpoints: ["http://127.0.0.1:1"],
				suspects: { quietAfterReconnect: 20 }
			});
			const broker = new ServiceBroker({ logger: false, registry: { discoverer } });
			const judged: string[] = [];
			t.mock.method(discoverer.mesh.membership, "get", () => ({}));
			t.mock.method(discoverer.mesh.suspects, "noResponders", (nodeID: string) => judged.push(nodeID));
			const clock = t.mock.method(performance, "now", () => 1_000);
			const unheard = () =>
				broker.broadcastLocal("$transporter.noResponders", { nodeID: "two", packet: "REQ", id: "1", direct: false });

			broker.broadcastLocal("$transporter.connected", { wasReconnect: true });
			step(t, by);
			unheard();
			assert.deepEqual(judged, []);
			clock.mock.mockImplementation(() => 1_020);
			unheard();
			assert.deepEqual(judged, ["two"]);
		});
});
