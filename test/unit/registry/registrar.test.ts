import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { InFlight } from "../../../mixins/etcd-registry/in-flight.ts";
import { decodeNode, decodeService, KeyLayout, type ServiceRecord } from "../../../mixins/etcd-registry/keys.ts";
import type { EtcdLink } from "../../../mixins/etcd-registry/link.ts";
import { resolveOptions } from "../../../mixins/etcd-registry/options.ts";
import { Registrar } from "../../../mixins/etcd-registry/registrar.ts";
import { ServiceWeights } from "../../../mixins/etcd-registry/service-weights.ts";

const NODE = "moleculer/nodes/one/first";
const GREETER = "moleculer/services/greeter/one";

/** The registrar of node `one`, which runs the services in `running`, over an etcd that takes everything at once. */
function registered(running: string[]) {
	const keys = new Map<string, Buffer>();
	let writes = 0;
	const link = {
		change(changes: [string, Buffer | undefined][]) {
			writes++;
			for (const [key, value] of changes)
				if (value) keys.set(key, value);
				else keys.delete(key);
		},
		settled: async () => {}
	} as unknown as EtcdLink;
	const broker = {
		nodeID: "one",
		instanceID: "first",
		options: {},
		broadcastLocal() {},
		registry: { nodes: { localNode: { hostname: "here" } }, regenerateLocalRawInfo() {} },
		getLocalNodeInfo: () => ({ seq: 1, services: running.map(fullName => ({ fullName })) })
	} as unknown as ServiceBroker;
	const registrar = new Registrar(broker, link, {
		keys: new KeyLayout("moleculer", ""),
		options: resolveOptions({ endpoints: ["http://localhost:2379"], noticeDelay: 0 }),
		inFlight: { drained: async () => 0 } as unknown as InFlight,
		weights: new ServiceWeights()
	});
	const service = () => decodeService(keys.get(GREETER) as Buffer);
	return {
		registrar,
		keys,
		writes: () => writes,
		service,
		/** Full names of the services that others may call. */
		async announced() {
			await registrar.settled();
			return decodeNode(keys.get(NODE) as Buffer, "one", "first").info.services.map(({ fullName }) => fullName);
		}
	};
}

const greeter = { name: "greeter", weight: 2, port: 80, metadata: { team: "blue" } };

describe("A node's keys", () => {
	it("say no more that a service stops once it has stopped: it is announced when it comes again", async () => {
		const running = ["greeter", "note"];
		const { registrar, keys, announced } = registered(running);
		await registrar.publishService(greeter);
		registrar.announce();
		assert.deepEqual(await announced(), ["greeter", "note"]);

		await registrar.withdrawService("greeter", undefined, "greeter");
		assert.deepEqual([await announced(), keys.has(GREETER)], [["note"], false]);
		registrar.publish();
		assert.deepEqual(await announced(), ["note"], "it still serves what is under way");

		running.shift();
		registrar.publish();
		assert.deepEqual(await announced(), ["note"]);
		running.push("greeter");
		registrar.publish();
		assert.deepEqual(await announced(), ["note", "greeter"]);
	});

	it("are gone while the node can not be called, and are all back afterwards", async () => {
		const { registrar, keys, service, announced } = registered(["greeter"]);
		await registrar.publishService(greeter);
		registrar.announce();
		await registrar.settled();
		registrar.detach();
		registrar.publish();
		await registrar.settled();
		assert.deepEqual([...keys.keys()], []);

		registrar.attach();
		assert.deepEqual(await announced(), ["greeter"]);
		assert.deepEqual(service(), {
			node: "one",
			host: "here",
			port: 80,
			weight: 2,
			metadata: { team: "blue" }
		});
	});

	it("keep a weight that somebody has set, also when they are written anew, and are not written where nothing changed", async () => {
		const { registrar, keys, writes, service } = registered(["greeter"]);
		await registrar.publishService(greeter);
		registrar.announce();
		await registrar.settled();
		const theirs = { ...service(), weight: 9, metadata: { team: "red" } } satisfies ServiceRecord;
		registrar.adoptWeight("greeter", theirs);
		assert.deepEqual([service().weight, service().metadata], [9, { team: "blue" }]);

		const before = writes();
		registrar.adoptWeight("greeter", theirs);
		registrar.adoptWeight("unknown", theirs);
		assert.equal(writes(), before);

		registrar.detach();
		registrar.adoptWeight("greeter", { ...theirs, weight: 5 });
		assert.deepEqual([...keys.keys()], []);
		registrar.attach();
		await nextTurn();
		assert.equal(service().weight, 9);
	});
});
