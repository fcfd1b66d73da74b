import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BrokerOptions, ServiceBroker } from "moleculer";
import { connect } from "nats";
import type { NamedKey } from "../../lib/env-rules.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { sealedPackets } from "../../lib/sealed-packets.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { quiet } from "../support/app.ts";
import { Log, quietBroker } from "../support/log.ts";
import { requireServers } from "../support/servers.ts";

const OLD: NamedKey = { name: "old", secret: "o".repeat(32) };
const NEW: NamedKey = { name: "new", secret: "n".repeat(32) };
const { skip } = await requireServers("nats");

/** What a test ends when it is over. */
interface Ends {
	after(end: () => Promise<void>): void;
}

/** A service that writes down whom it was opened for. */
function vault(opened: number[]) {
	return {
		name: "vault",
		actions: {
			open(ctx: { meta: Meta }) {
				const { id } = identityOf(ctx);
				opened.push(id);
				return id;
			}
		}
	};
}

async function startNode(t: Ends, options: BrokerOptions, keys: NamedKey[], opened?: number[]) {
	const middlewares = [sealedPackets(keys)];
	const broker = new ServiceBroker(quiet({ ...options, middlewares, requestTimeout: 1000 }));
	if (opened) broker.createService(vault(opened));
	await broker.start();
	t.after(() => broker.stop());
	return broker;
}

const asUser = (id: number) => ({ meta: { user: { id, role: "user", session_id: "s" } } });

describe("Sealed packets", () => {
	const fake = (nodeID: string, namespace: string): BrokerOptions => ({ nodeID, namespace, transporter: "Fake" });

	it("let nodes with the same key call each other", async t => {
		const opened: number[] = [];
		await startNode(t, fake("owner", "sealed-a"), [NEW], opened);
		const caller = await startNode(t, fake("caller", "sealed-a"), [NEW]);
		await caller.waitForServices("vault", 5000);
		assert.equal(await caller.call("vault.open", {}, asUser(7)), 7);
	});

	it("let nodes call each other while a key is rotated", async t => {
		const opened: number[] = [];
		await startNode(t, fake("owner", "sealed-b"), [NEW, OLD], opened);
		const caller = await startNode(t, fake("caller", "sealed-b"), [OLD, NEW]);
		await caller.waitForServices("vault", 5000);
		assert.equal(await caller.call("vault.open", {}, asUser(7)), 7);
	});

	for (const [what, keys] of [
		["without a key", []],
		["with another key", [OLD]]
	] as const)
		it(`hide the mesh from a node ${what}, and it from the mesh`, async t => {
			const namespace = `sealed-${what}`;
			const owner = await startNode(t, fake("owner", namespace), [NEW], []);
			const friend = await startNode(t, fake("friend", namespace), [NEW]);
			const intruder = await startNode(t, fake("intruder", namespace), [...keys]);
			await friend.waitForServices("vault", 5000);
			assert.equal(intruder.registry.actions.isAvailable("vault.open"), false);
			assert.equal(owner.registry.nodes.get("intruder"), undefined);
			await assert.rejects(intruder.call("vault.open", {}, asUser(1)), { type: "SERVICE_NOT_FOUND" });
		});

	it("are dropped with a warning where one bit, the type or the mesh is another", async t => {
		const log = new Log();
		const broker = quietBroker(log);
		const { created, transporterSend, transporterReceive } = sealedPackets([NEW]) as unknown as {
			created(broker: ServiceBroker): void;
			transporterSend(next: (topic: string, data: Buffer) => void): (topic: string, data: Buffer, meta: object) => void;
			transporterReceive(next: (type: string, data: Buffer) => void): (type: string, data: Buffer) => void;
		};
		t.after(() => broker.stop());
		created(broker);
		const received: string[] = [];
		const receive = transporterReceive((type, data) => received.push(`${type} ${data}`));
		let sealed = Buffer.alloc(0);
		transporterSend((_topic, data) => {
			sealed = Buffer.from(data);
		})("MOL.EVENT.x", Buffer.from("content"), { packet: { type: "EVENT" } });

		receive("EVENT", sealed);
		assert.deepEqual(received, ["EVENT content"]);

		receive("REQ", sealed);
		for (let i = 0; i < sealed.length; i++) {
			const changed = Buffer.from(sealed);
			changed[i] = (changed[i] as number) ^ 1;
			receive("EVENT", changed);
		}
		for (const bytes of [Buffer.alloc(0), sealed.subarray(1), sealed.subarray(0, 31), Buffer.concat([sealed, sealed])])
			receive("EVENT", bytes);
		assert.equal(received.length, 1);
		assert.equal(log.texts("warn").length, 1 + sealed.length + 4);
	});
});

describe("A stranger who can publish on NATS, but has no key", { skip }, () => {
	/** A request as moleculer's protocol 5 has it, for a user of the attacker's choice. */
	const forged = (id: number) =>
		JSON.stringify({
			ver: "5",
			sender: "stranger",
			id: `forged-${id}`,
			action: "vault.open",
			params: {},
			stream: false,
			meta: asUser(id).meta,
			headers: {},
			timeout: 0,
			level: 1,
			tracing: null,
			parentID: null,
			requestID: null
		});

	/** Opens the vault by force, then in the proper way, and tells for whom it was opened. */
	async function attack(keys: NamedKey[]): Promise<number[]> {
		const nats = await startNats();
		const ends: (() => Promise<void>)[] = [];
		const after = (end: () => Promise<void>) => void ends.unshift(end);
		after(() => nats.stop());
		try {
			const opened: number[] = [];
			const options: BrokerOptions = { nodeID: "owner", transporter: { type: "NATS", options: { url: nats.url } } };
			await startNode({ after }, options, keys, opened);
			const friend = await startNode({ after }, { ...options, nodeID: "friend" }, keys);
			await friend.waitForServices("vault", 5000);

			const stranger = await connect({ servers: nats.url });
			stranger.publish("MOL.REQ.owner", forged(1));
			await stranger.flush();
			// Comes after the forged one on the same connection of the owner.
			assert.equal(await friend.call("vault.open", {}, asUser(7)), 7);
			await stranger.close();
			return opened;
		} finally {
			// The nodes first: without NATS they would wait for it.
			for (const end of ends) await end();
		}
	}

	it("calls no action for anybody", async () => {
		assert.deepEqual(await attack([NEW]), [7]);
	});

	it("would call any for anybody if packets were not sealed", async () => {
		assert.deepEqual(await attack([]), [1, 7]);
	});
});
