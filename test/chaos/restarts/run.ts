// Restarts nodes one after the other while clients read and write; exits with 1 when a request failed or a note is lost.
import { parseArgs } from "node:util";
import { RestartWorld } from "./world.ts";

const ALL = ["user", "note", "points", "audit", "api"];

const { values } = parseArgs({
	options: {
		/** How many restarts. */
		restarts: { type: "string", default: "200" },
		/** Whose nodes, separated by commas; `all` for every service. */
		services: { type: "string", default: "note" },
		quick: { type: "boolean", default: false }
	}
});
const restarts = values.quick ? 10 : Number(values.restarts);
const services = values.services === "all" ? ALL : values.services.split(",");

const world = await RestartWorld.start(ALL);
const started = performance.now();
try {
	const names = services.flatMap(service => [`${service}-1`, `${service}-2`]);
	const outcome = await world.underLoad(async () => {
		for (let i = 0; i < restarts; i++) await world.restart(names[i % names.length] as string);
	});
	const { failed, ...counts } = outcome;
	const seconds = Math.round((performance.now() - started) / 1000);
	for (const failure of failed.slice(0, 10)) console.log(failure);
	const result = { restarts, services: values.services, seconds, ...counts, failed: failed.length };
	console.table([result]);
	console.log(JSON.stringify({ chaos: "restarts", ...result }));
	if (failed.length + counts.lost + counts.doubled > 0) process.exitCode = 1;
} finally {
	await world.stop();
}
