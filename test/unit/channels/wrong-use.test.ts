import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { retryDelay } from "../../../mixins/channels/backoff.ts";
import { throughChannels } from "../../../mixins/channels/publisher.ts";
import { type ConsumerDefinition, withDefaults } from "../../../mixins/channels/transport.ts";
import { ChannelsMixin } from "../../../mixins/channels.mixin.ts";

const FACTS = { name: "FACTS", subjects: ["fact.>"], maxAge: 60 };
const DEAD = { name: "DEAD", subjects: ["dead.>"], maxAge: 60 };

/** Makes a service with one handler. */
function make(streams: (typeof FACTS)[], changes: Partial<ConsumerDefinition> = {}) {
	const consumer = { name: "reader", stream: "FACTS", ...changes };
	const consumers = [consumer];
	const mixins = [ChannelsMixin({ url: () => "file:never-opened", streams, consumers })];
	return new ServiceBroker({ logger: false }).createService({
		name: "thing",
		mixins,
		channels: { async [consumer.name]() {} }
	});
}

it("A handler whose messages can neither come nor be buried is refused at once", () => {
	assert.ok(make([FACTS, DEAD]));
	assert.throws(() => make([FACTS]), /No stream DEAD among 'streams' takes the dead letters 'dead.>' of 'reader'/);
	assert.throws(() => make([FACTS, { ...DEAD, subjects: ["grave.>"] }]), /takes the dead letters/);
	assert.throws(() => make([FACTS, DEAD], { stream: "FACT" }), /reads the stream FACT, which is not among 'streams'/);
	for (const subject of ["other.told", "fact", "other.*"])
		assert.throws(() => make([FACTS, DEAD], { subject }), {
			message: `Consumer 'reader' reads '${subject}', of which the stream FACTS takes nothing`
		});
	const second = { ...FACTS, subjects: ["fact.>", "other.*"] };
	for (const subject of ["*.told.>", "other.told"]) assert.ok(make([second, DEAD], { subject }));
	assert.throws(() => make([FACTS, DEAD], { concurrency: 0 }), /handles nothing with concurrency 0/);
	for (const name of ["re.ader", "re ader", "*", ">", "re/ader"])
		assert.throws(() => make([FACTS, DEAD], { name }), /name has no blanks, dots, slashes or wildcards/);
});

it("An option that is undefined has its default", () => {
	const given = { name: "reader", stream: "FACTS" };
	const unset = { concurrency: undefined, maxAttempts: undefined, ackWait: undefined };
	assert.deepEqual(withDefaults({ ...given, ...unset }), withDefaults(given));
});

it("An outbox that publishes through channels says where their mixin is missing", () => {
	const service = new ServiceBroker({ logger: false }).createService({ name: "thing" });
	assert.throws(() => throughChannels(service), /Service 'thing': the channels mixin stands after the outbox mixin/);
});

it("A retry at once leaves its attempt the time to end", () => {
	assert.equal(retryDelay(0, 1), 10);
});
