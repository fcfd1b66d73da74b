// `node micro.ts <file of packets>`: what it costs to write and read each; one JSON object on stdout.
import { readFileSync } from "node:fs";
import { Serializers, ServiceBroker } from "moleculer";
import { SERIALIZERS } from "./names.ts";
import type { Packets } from "./packets.ts";

const TIMES = 5000;
const ROUNDS = 7;

const packets = JSON.parse(readFileSync(process.argv[2] as string, "utf8")) as Packets;
const broker = new ServiceBroker({ logger: false });
const results = Object.entries(packets).flatMap(([packet, content]) =>
	SERIALIZERS.map(name => {
		const serializer = Serializers.resolve(name);
		serializer.init(broker);
		const buffer = serializer.serialize(content, "RES");
		return {
			packet,
			serializer: name,
			bytes: buffer.length,
			"write µs": best(() => serializer.serialize(content, "RES")),
			"read µs": best(() => serializer.deserialize(buffer, "RES"))
		};
	})
);
console.log(JSON.stringify(results));

/** The quickest of some rounds, in microseconds: what disturbs makes slower, never quicker. */
function best(work: () => unknown): number {
	const rounds = Array.from({ length: ROUNDS }, () => {
		const began = performance.now();
		for (let i = 0; i < TIMES; i++) work();
		return ((performance.now() - began) / TIMES) * 1000;
	});
	return Number(Math.min(...rounds).toFixed(2));
}
