import assert from "node:assert/strict";
import { it } from "node:test";
import { type Cachers, ServiceBroker } from "moleculer";
import { cacherOf } from "../../lib/cacher.ts";
import { readEnv } from "../../lib/env.ts";
import { quiet } from "../support/app.ts";

it("Lists in memory take a bounded part of it, however large a page is", async t => {
	const broker = new ServiceBroker(quiet({ cacher: cacherOf(readEnv({ CACHE: "memory" })) as never }));
	t.after(() => broker.stop());
	const { cacher } = broker;
	assert.ok(cacher);
	const page = (size: number) => ({ notes: ["x".repeat(size)] });
	const kept = async (keys: readonly string[]) =>
		(await Promise.all(keys.map(key => cacher.get(key)))).filter(Boolean).length;

	const keys = Array.from({ length: 400 }, (_, i) => `list:${i}`);
	for (const key of keys) await cacher.set(key, page(200_000));
	assert.equal(await kept(keys), Math.floor((32 * 1024 * 1024) / 200_020));
	await cacher.set("large", page(300_000));
	assert.equal(await kept(["large"]), 0);
	assert.equal(await kept(keys.slice(-1)), 1, "a page that is too large drives no other out");
});

it("A Redis of lists is the one that the URL names, its options included", () => {
	const cacher = cacherOf(readEnv({ CACHE: "redis", REDIS_URL: "redis://me:s%2Fx@[::1]:6380/2?family=6" }));
	const { redis } = (cacher as Cachers.Redis).opts as { redis: Record<string, unknown> };
	const { host, port, username, password, db, family, commandTimeout, lazyConnect } = redis;
	assert.deepEqual(
		{ host, port, username, password, db, family },
		{
			host: "::1",
			port: 6380,
			username: "me",
			password: "s/x",
			db: 2,
			family: 6
		}
	);
	assert.deepEqual({ commandTimeout, lazyConnect }, { commandTimeout: 250, lazyConnect: false });
});

it("CACHE=auto is memory where nobody else has the same data, and none where others may write", () => {
	const kindOf = (variables: Record<string, string>) => cacherOf(readEnv(variables))?.constructor.name;
	const NATS_URL = "nats://localhost:4222";
	assert.equal(kindOf({ CACHE: "auto" }), "MemoryCacher");
	assert.equal(kindOf({ CACHE: "auto", NATS_URL }), undefined);
	assert.equal(kindOf({ CACHE: "auto", DATABASE_URL: "mysql://localhost/notes" }), undefined);
	assert.equal(kindOf({ CACHE: "memory", NATS_URL }), "MemoryCacher");
	assert.equal(kindOf({ CACHE: "off" }), undefined);
});
