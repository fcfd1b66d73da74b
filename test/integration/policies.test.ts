import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type BrokerOptions, type Context, Errors, ServiceBroker, type ServiceSchema } from "moleculer";
import { type Policies, resilience } from "../../mixins/resilience.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { quiet } from "../support/app.ts";
import { Load, sees, spawnRegistryNode, startNode } from "../support/registry.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const retry = {
	retries: 2,
	pause: { first: 1, longest: 20 },
	budget: { share: 0.125, perSecond: 0, most: 20 },
	isKeyed: (meta: object) => "key" in meta
};
const breaker = { threshold: 0.5, calls: 4, seconds: 60, pause: 200 };

function brokerOptions(policies: Policies): BrokerOptions {
	const { middleware, circuitBreaker } = resilience({ policies, retry, breaker });
	return { middlewares: [middleware], circuitBreaker, metrics: true };
}

let meshes = 0;

/** Brokers with a service each, joined by moleculer's in-memory transporter. */
async function mesh(t: TestContext, policies: Policies, ...services: ServiceSchema[]): Promise<ServiceBroker[]> {
	const namespace = `policies-${++meshes}`;
	const brokers = services.map((service, i) => {
		const shared: BrokerOptions = {
			namespace,
			transporter: "Fake",
			nodeID: `${service.name}-${i}`,
			requestTimeout: 10_000
		};
		const broker = new ServiceBroker(quiet({ ...shared, ...brokerOptions(policies) }));
		broker.createService(service);
		return broker;
	});
	await Promise.all(brokers.map(broker => broker.start()));
	t.after(() => Promise.all(brokers.map(broker => broker.stop())));
	await Promise.all(brokers.map(broker => broker.waitForServices(services.map(({ name }) => name))));
	return brokers;
}

const metric = ({ metrics }: ServiceBroker, name: string, labels: object) =>
	metrics.getMetric(name)?.get(labels as Record<string, string>)?.value ?? 0;
const caller: ServiceSchema = { name: "caller" };

describe("A deadline", () => {
	it("shrinks along the chain of calls, whatever time the later rows give", async t => {
		const last: ServiceSchema = { name: "last", actions: { left: (ctx: Context) => ctx.options.timeout } };
		const first: ServiceSchema = {
			name: "first",
			actions: {
				async ask(ctx: Context) {
					await delay(100);
					return { own: ctx.options.timeout, nested: await ctx.call("last.left") };
				}
			}
		};
		const policies = { "first.ask": { deadline: 1000 }, "last.left": { deadline: 5000 } };
		const [broker] = await mesh(t, policies, caller, first, last);
		const { own, nested } = await (broker as ServiceBroker).call<{ own: number; nested: number }, object>(
			"first.ask",
			{}
		);
		assert.equal(own, 1000);
		assert.ok(nested > 0 && nested <= 901, `${nested}`);
	});

	it("is the row's where the caller has more time, and the caller's where that is less", async t => {
		const left: ServiceSchema = { name: "last", actions: { left: (ctx: Context) => ctx.options.timeout } };
		const [broker] = await mesh(t, { "last.left": { deadline: 500 } }, caller, left);
		const ask = (timeout?: number) => (broker as ServiceBroker).call("last.left", {}, timeout ? { timeout } : {});
		assert.deepEqual([await ask(), await ask(2000), await ask(70)], [500, 500, 70]);
	});

	it("that has passed lets no further call begin", async t => {
		let begun = 0;
		const last: ServiceSchema = { name: "last", actions: { work: () => ++begun } };
		const { promise: nested, resolve } = Promise.withResolvers<unknown>();
		const first: ServiceSchema = {
			name: "first",
			actions: {
				async ask(ctx: Context) {
					await delay(80);
					resolve(await ctx.call("last.work").catch(error => error.type));
				}
			}
		};
		const [broker] = await mesh(t, { "first.ask": { deadline: 50 } }, caller, first, last);
		await assert.rejects((broker as ServiceBroker).call("first.ask"), { type: "REQUEST_TIMEOUT" });
		assert.equal(await nested, "REQUEST_SKIPPED");
		assert.equal(begun, 0);
	});
});

describe("Retries", () => {
	const failing = (): ServiceSchema & { calls: number } => {
		const service = {
			name: "last",
			calls: 0,
			actions: {
				work: (ctx: Context) => {
					service.calls++;
					Object.assign(ctx.meta, { seen: service.calls });
					if (service.calls % 3 !== 0) throw new Errors.MoleculerRetryableError("Not now", 503, "NOT_NOW");
					return service.calls;
				}
			}
		};
		return service;
	};

	it("are made for an idempotent action, counted, and what the last attempt puts into the meta arrives", async t => {
		const service = failing();
		const relay: ServiceSchema = {
			name: "relay",
			actions: {
				async ask(ctx: Context) {
					await ctx.call("last.work");
					return ctx.meta;
				}
			}
		};
		const [broker, middle] = await mesh(
			t,
			{ "last.work": { deadline: 1000, retry: "always" } },
			caller,
			relay,
			service
		);
		assert.deepEqual(await (broker as ServiceBroker).call("relay.ask"), { seen: 3 });
		assert.equal(metric(middle as ServiceBroker, "policy.retries.total", { action: "last.work" }), 2);
	});

	it("are made for a write with a key only", async t => {
		const service = failing();
		const [broker] = await mesh(t, { "last.work": { deadline: 1000, retry: "keyed" } }, caller, service);
		await assert.rejects((broker as ServiceBroker).call("last.work"), { type: "NOT_NOW" });
		assert.equal(service.calls, 1);
		assert.equal(await (broker as ServiceBroker).call("last.work", {}, { meta: { key: "k" } }), 3);
	});

	for (const [what, policies, options] of [
		["an action that has no row", {}, {}],
		["an action that is not idempotent", { "last.work": { deadline: 1000 } }, {}],
		["a caller who wants none", { "last.work": { deadline: 1000, retry: "always" } }, { retries: 0 }],
		["a caller who chose the node", { "last.work": { deadline: 1000, retry: "always" } }, { nodeID: "last-1" }]
	] as const)
		it(`are not made for ${what}`, async t => {
			const service = failing();
			const [broker] = await mesh(t, policies, caller, service);
			await assert.rejects((broker as ServiceBroker).call("last.work", {}, options), { type: "NOT_NOW" });
			assert.equal(service.calls, 1);
		});

	it("end with the budget: a service that is down gets an eighth more calls, not three times as many", async t => {
		let calls = 0;
		const down: ServiceSchema = {
			name: "last",
			actions: {
				work: () => {
					calls++;
					throw new Errors.MoleculerRetryableError("Down", 503, "REQUEST_REJECTED");
				}
			}
		};
		const [broker] = await mesh(t, { "last.work": { deadline: 1000, retry: "always" } }, caller, down);
		for (let call = 0; call < 300; call++)
			await assert.rejects((broker as ServiceBroker).call("last.work"), { type: "REQUEST_REJECTED" });
		// What the first call earns is lost: the budget is full then.
		assert.equal(calls, 300 + 20 + Math.floor(299 / 8));
		assert.ok(metric(broker as ServiceBroker, "policy.retries.denied.total", { action: "last.work" }) > 200);
	});
});

describe("A bulkhead", () => {
	it("works on so many calls, lets so many wait, and refuses the others at once", async t => {
		let [now, most] = [0, 0];
		const slow: ServiceSchema = {
			name: "last",
			actions: {
				async work() {
					most = Math.max(most, ++now);
					await delay(20);
					now--;
					return "done";
				}
			}
		};
		const policies = { "last.work": { deadline: 1000, bulkhead: { atOnce: 2, waiting: 3 } } };
		const [broker] = await mesh(t, policies, caller, slow);
		const calls = Array.from({ length: 10 }, () =>
			(broker as ServiceBroker).call("last.work").catch(error => error.type as unknown)
		);
		const outcomes = Map.groupBy(await Promise.all(calls), outcome => outcome);
		assert.deepEqual([outcomes.get("done")?.length, outcomes.get("QUEUE_FULL")?.length, most], [5, 5, 2]);
	});

	it("does not begin what has waited until nobody waits for it any more", async t => {
		let begun = 0;
		const slow: ServiceSchema = {
			name: "last",
			actions: {
				async work() {
					begun++;
					await delay(120);
				}
			}
		};
		const policies = { "last.work": { deadline: 60, bulkhead: { atOnce: 1, waiting: 10 } } };
		const [broker, worker] = (await mesh(t, policies, caller, slow)) as [ServiceBroker, ServiceBroker];
		const calls = Array.from({ length: 5 }, () => broker.call("last.work").catch(error => error.type as unknown));
		assert.deepEqual(new Set(await Promise.all(calls)), new Set(["REQUEST_TIMEOUT"]));
		const late = () => metric(worker, "policy.late.total", { action: "last.work" });
		await until("all have had their turn", () => late() === 4);
		assert.equal(begun, 1);
	});
});

describe("The breaker", () => {
	it("leaves a broken node alone for one action, and tries it again until it works", async t => {
		let broken = true;
		const work = (name: string, fails: () => boolean): ServiceSchema => ({
			name: "last",
			actions: {
				where: () => name,
				work() {
					if (fails()) throw new Error("disk full");
					return name;
				}
			}
		});
		const services = [caller, work("good", () => false), work("bad", () => broken)];
		const [broker] = (await mesh(t, {}, ...services)) as [ServiceBroker];
		await until("the caller sees both", () => broker.registry.actions.get("last.work")?.count() === 2);
		const ask = (action: string) => broker.call<string, object>(`last.${action}`, {}).catch(() => "failed");
		const many = async (action: string) => new Set(await Promise.all(Array.from({ length: 20 }, () => ask(action))));

		for (let call = 0; call < 8; call++) await ask("work");
		assert.deepEqual(await many("work"), new Set(["good"]));
		assert.deepEqual(await many("where"), new Set(["good", "bad"]), "the other action of the node");
		const labels = { affectedNodeID: "last-2", service: "last", action: "last.work" };
		assert.equal(metric(broker, "moleculer.circuit-breaker.opened.total", labels), 1);

		broken = false;
		await until("the node is tried again", async () => (await many("work")).has("bad"));
	});
});

describe("A node that hangs (SIGSTOP)", await requireServers("nats", "etcd"), () => {
	it("costs an idempotent action one attempt, and no caller an answer", async t => {
		const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
		const servers = { nats, etcd };
		const policies: Policies = { "greeter.where": { deadline: 3000, attempt: 150, retry: "always" } };
		const [one, two, broker] = await Promise.all([
			spawnRegistryNode(servers, "one"),
			spawnRegistryNode(servers, "two"),
			startNode(servers, { nodeID: "caller", broker: brokerOptions(policies) })
		]);
		t.after(async () => {
			await Promise.all([broker.stop(), one.kill(), two.kill()]);
			await Promise.all([nats.stop(), etcd.stop()]);
		});
		await until("the caller sees both", () => sees(broker, "one") && sees(broker, "two"));

		const load = new Load(broker, { timeout: 3000 });
		await until("both are called", () => load.nodes.size === 2);
		one.signal("SIGSTOP");
		const before = load.nodes.get("one");
		await until("the node is left alone", () => broker.registry.nodes.get("one")?.available === false);
		one.signal("SIGCONT");
		await until("it is called again", () => (load.nodes.get("one") ?? 0) > (before ?? 0) + 5);
		await load.stop();
		assert.deepEqual(load.failures, []);
		assert.ok(metric(broker, "policy.retries.total", { action: "greeter.where" }) >= 3);
	});
});
