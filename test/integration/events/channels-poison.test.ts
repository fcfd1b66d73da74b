import assert from "node:assert/strict";
import { it } from "node:test";
import { fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { spawnNode } from "../../support/processes.ts";
import { until } from "../../support/until.ts";

const CONSUMER = "test/support/poison-consumer.ts";

await onEachStreamPlace("A message that kills the process", place => {
	it("C4: becomes a dead letter without being run again, and its neighbours are done once it runs alone", async t => {
		const url = await place.create();
		const { channels } = await run(t, url);
		const numbers = [11, 12, 13, 14, 15];
		for (const n of numbers) await channels.publish(fact(n));

		// A set: what is killed before its acknowledgement is written is done again.
		const done = new Set<string>();
		let deaths = 0;
		const letters = () => channels.deadLetters.list();
		for (; (await letters()).length === 0; deaths++) {
			assert.ok(deaths < 8, "the process died again and again");
			const victim = spawnNode({ args: [CONSUMER, url], env: { NODE_ENV: "test" } });
			await until("dead or buried", async () => !victim.running || (await letters()).length > 0);
			const doneByNow = () => done.union(new Set(victim.lines.filter(isDone)));
			await until("neighbours", () => !victim.running || doneByNow().size >= 4);
			await victim.kill();
			for (const line of doneByNow()) done.add(line);
		}
		// At most: the attempt that is allowed and two more for want of an explanation, then one that only buries it. What was
		// pulled beside the killer and never run counts as an attempt too.
		assert.ok(deaths <= 4, `${deaths} deaths`);
		const [letter] = await letters();
		assert.deepEqual(JSON.parse(letter?.data as string), { n: 13 });
		assert.match(letter?.error.message as string, /Delivered 4 times, and never did a handler end/);
		assert.deepEqual(done, new Set([11, 12, 14, 15].map(n => `done ${n}`)));
	});
});

function isDone(line: string): boolean {
	return line.startsWith("done ");
}
