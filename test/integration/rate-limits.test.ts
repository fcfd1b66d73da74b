import assert from "node:assert/strict";
import type { AddressInfo, Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import { startRedis } from "../../scripts/servers/redis.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { quiet, useEnvironment } from "../support/app.ts";
import { type Answer, Client } from "../support/client.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const { skip } = await requireServers("redis");
const LIMIT = 20;
const LOGIN_LIMIT = 10;
const ATTEMPTS = 3;

describe("Limits of two api nodes that share a Redis", { skip }, () => {
	let redis: LocalServer;
	let brokers: ServiceBroker[];
	let first: Client;
	let second: Client;

	before(async () => {
		redis = await startRedis();
		useEnvironment({
			REDIS_URL: redis.url,
			RATE_LIMIT_PER_MINUTE: String(LIMIT),
			LOGIN_LIMIT_PER_MINUTE: String(LOGIN_LIMIT),
			USER_LIMIT_PER_MINUTE: "5",
			LOGIN_ATTEMPTS: String(ATTEMPTS),
			RATE_LIMIT_WITHOUT_REDIS: "closed",
			// Each test comes from an address of its own.
			TRUST_PROXY: "loopback"
		});
		const namespace = `limits-${process.hrtime.bigint()}`;
		const schema = async (name: string) =>
			(await import(`../../services/${name}/${name}.service.ts`)).default as ServiceSchema;
		const node = async (nodeID: string, ...names: string[]) => {
			const metrics = { enabled: true, reporter: [] };
			const broker = new ServiceBroker(quiet({ namespace, transporter: "Fake", nodeID, metrics }));
			for (const name of names) broker.createService(await schema(name));
			await broker.start();
			return broker;
		};
		brokers = [await node("worker", "user", "note", "points"), await node("api-1", "api"), await node("api-2", "api")];
		const [, one, two] = brokers as [ServiceBroker, ServiceBroker, ServiceBroker];
		await Promise.all([one, two].map(broker => broker.waitForServices(["user", "note", "points"])));
		[first, second] = [one, two].map(clientOf) as [Client, Client];
		await until("both gateways have the store", () => storeUp(one) && storeUp(two));
	});
	after(async () => {
		await Promise.all(brokers?.map(broker => broker.stop()) ?? []);
		await redis?.stop();
	});

	const clientOf = (broker: ServiceBroker) => {
		const { server } = broker.getLocalService("api") as unknown as { server: Server };
		return new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	};
	const metric = (broker: ServiceBroker, name: string, labels = {}) =>
		(broker.metrics.getMetric(name) as unknown as { get(labels: object): { value: number } | null }).get(labels)
			?.value ?? 0;
	const storeUp = (broker: ServiceBroker) => metric(broker, "notemesh.limits.store.up") === 1;
	const from = (address: string, headers: Record<string, string> = {}) => ({
		headers: { "X-Forwarded-For": address, ...headers }
	});
	const login = (client: Client, address: string, username: string, password: string): Promise<Answer> =>
		client.send("POST", "/v1/user/login", { json: { username, password }, ...from(address) });
	const register = (address: string, username: string) =>
		first.send("POST", "/v1/user/register", { json: { username, password: "correct horse" }, ...from(address) });

	it("count an address over both nodes, refuse the one too many with 429, and tell how many are left", async () => {
		for (let i = 0; i < LIMIT; i++) {
			const { status, headers } = await (i % 2 ? first : second).send("GET", "/ping", from("203.0.113.1"));
			assert.equal(status, 200);
			assert.equal(headers["x-ratelimit-limit"], String(LIMIT));
			assert.equal(headers["x-ratelimit-remaining"], String(LIMIT - 1 - i));
		}
		for (const client of [first, second]) {
			const { status, headers, body } = await client.send("GET", "/ping", from("203.0.113.1"));
			assert.equal(status, 429);
			assert.equal(body.code, 10007);
			assert.ok(Number(headers["retry-after"]) > 0 && Number(headers["retry-after"]) <= 60);
			assert.match(String(headers["x-request-id"]), /^\w{32}$/);
		}
		assert.equal((await first.send("GET", "/ping", from("203.0.113.2"))).status, 200);
		assert.ok(metric(brokers[1] as ServiceBroker, "notemesh.limits.refused.total", { limit: "all" }) >= 1);
	});

	it("let exactly as many in when all come at once", async () => {
		const answers = await Promise.all(
			Array.from({ length: 3 * LIMIT }, (_, i) => (i % 2 ? first : second).send("GET", "/ping", from("203.0.113.3")))
		);
		assert.equal(answers.filter(({ status }) => status === 200).length, LIMIT);
	});

	it("count unknown paths, wrong methods and refused bodies too", async () => {
		for (let i = 0; i < LIMIT; i++)
			await first.send(i % 2 ? "GET" : "PATCH", i % 3 ? "/nothing" : "/v1/note", from("203.0.113.4"));
		assert.equal((await first.send("GET", "/nothing", from("203.0.113.4"))).status, 429);
		const unread = {
			raw: "x".repeat(600_000),
			headers: { "X-Forwarded-For": "203.0.113.4", "Content-Type": "application/json" }
		};
		assert.equal((await first.send("POST", "/v1/note", unread)).status, 429);
	});

	it("can not be got round by an X-Forwarded-For of the client's own", async () => {
		for (let i = 0; i < LIMIT; i++) await first.send("GET", "/ping", from(`198.51.100.${i}, 203.0.113.5`));
		assert.equal((await first.send("GET", "/ping", from("198.51.100.99, 203.0.113.5"))).status, 429);
	});

	it("are stricter where passwords and refresh tokens are tried", async () => {
		for (let i = 0; i < LOGIN_LIMIT; i++) await login(i % 2 ? first : second, "203.0.113.6", `nobody ${i}`, "wrong!");
		assert.equal((await login(first, "203.0.113.6", "another", "wrong!")).status, 429);
		assert.equal(
			(await first.send("POST", "/v1/user/refresh", { json: { refresh_token: "x" }, ...from("203.0.113.6") })).status,
			429
		);
		assert.equal((await first.send("GET", "/ping", from("203.0.113.6"))).status, 200);
	});

	it("count a user whatever address the requests come from", async () => {
		await register("203.0.113.7", "walker");
		const { token } = (await login(first, "203.0.113.7", "walker", "correct horse")).body as unknown as {
			token: string;
		};
		const me = (i: number) =>
			first.send("GET", "/v1/user/me", from(`192.0.2.${i}`, { Authorization: `Bearer ${token}` }));
		for (let i = 0; i < 5; i++) assert.equal((await me(i)).status, 200);
		assert.equal((await me(99)).status, 429);
	});

	it("back off from wrong passwords for one name from one address, on both nodes, for any way to write the name", async () => {
		await register("203.0.113.8", "Victim");
		const spellings = ["Victim", "victim", " VICTIM "];
		for (const [i, name] of spellings.entries())
			assert.equal((await login(i % 2 ? first : second, "203.0.113.9", name, "wrong!")).status, 401);
		const refused = await login(second, "203.0.113.9", "victim", "correct horse");
		assert.equal(refused.status, 429, "even the right password, so that it can not be told from a wrong one");
		assert.ok(Number(refused.headers["retry-after"]) > 0);
		const told = ["limit", "remaining", "reset"].map(name => refused.headers[`x-ratelimit-${name}`]);
		assert.deepEqual(told, [String(ATTEMPTS), "0", refused.headers["retry-after"]]);
		assert.equal((await login(first, "203.0.113.9", "somebody else", "wrong!")).status, 401);
	});

	it("do not lock the victim out, who comes from another address", async () => {
		assert.equal((await login(first, "203.0.113.8", "victim", "correct horse")).status, 200);
	});

	it("let no more guesses through when they all come at once", async () => {
		const answers = await Promise.all(
			Array.from({ length: LOGIN_LIMIT }, (_, i) =>
				login(i % 2 ? first : second, "203.0.113.10", "victim", `guess ${i}`)
			)
		);
		assert.equal(answers.filter(({ status }) => status === 401).length, ATTEMPTS);
	});

	it("forget wrong passwords after the right one", async () => {
		for (let round = 0; round < 2; round++) {
			for (let i = 1; i < ATTEMPTS; i++)
				assert.equal((await login(first, "203.0.113.11", "victim", "wrong!")).status, 401);
			assert.equal((await login(second, "203.0.113.11", "victim", "correct horse")).status, 200);
		}
	});

	it("back off from wrong old passwords of somebody who has stolen a token", async () => {
		await register("203.0.113.12", "robbed");
		const { token } = (await login(first, "203.0.113.12", "robbed", "correct horse")).body as unknown as {
			token: string;
		};
		const change = (old_password: string) =>
			first.send("PUT", "/v1/user/password", {
				json: { old_password, new_password: "a new one" },
				...from("203.0.113.13", { Authorization: `Bearer ${token}` })
			});
		for (let i = 0; i < ATTEMPTS; i++) assert.equal((await change("wrong!")).status, 401);
		assert.equal((await change("correct horse")).status, 429);
	});

	it("refuse with 503 while Redis is away (closed), say so in a metric, and count again when it is back", async () => {
		const [, api] = brokers as [ServiceBroker, ServiceBroker];
		await redis.kill();
		await until("the gateway has lost the store", () => !storeUp(api));
		const { status, body, headers } = await first.send("GET", "/ping", from("203.0.113.14"));
		assert.deepEqual([status, body.code, headers["retry-after"]], [503, 10001, "1"]);
		assert.ok(metric(api, "notemesh.limits.degraded.total", { limit: "all", rule: "closed" }) >= 1);
		for (const probe of ["/healthz", "/readyz"]) assert.equal((await first.send("GET", probe)).status, 200);

		await redis.start();
		await until("the others have the store", () => brokers.slice(1).every(storeUp));
		for (let i = 0; i < LIMIT; i++)
			assert.equal((await (i % 2 ? first : second).send("GET", "/ping", from("203.0.113.14"))).status, 200);
		assert.equal((await first.send("GET", "/ping", from("203.0.113.14"))).status, 429);
	});
});
