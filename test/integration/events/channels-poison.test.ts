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

		const done: string[] = [];
		let deaths = 0;
		const letters = () => channels.deadLetters.list();
		for (; (await letters()).length === 0; deaths++) {
			assert.ok(deaths < 8, "the process died again and again");
			const victim = spawnNode({ args: [CONSUMER, url], env: { NODE_ENV: "test" } });
			const buried = until("dead or buried", async () => !victim.running || (await letters()).length > 0);
			await buried;
			await until("neighbours", () => !victim.running || victim.lines.filter(isDone).length + done.length >= 4);
			await victim.kill();
			done.push(...victim.lines.filter(isDone));
		}
		// At most: the attempt that is allowed and two more for want of an explanation, then one that only buries it. What was
		// pulled beside the killer and never run counts as an attempt too.
		assert.ok(deaths <= 4, `${deaths} deaths`);
		const [letter] = await letters();
		assert.deepEqual(JSON.parse(letter?.data as string), { n: 13 });
		assert.match(letter?.error.message as string, /Delivered 4 times, and never did a handler end/);
		assert.deepEqual(new Set(done), new Set([11, 12, 14, 15].map(n => `done ${n}`)));
	});
});

function isDone(line: string): boolean {
	return line.startsWith("done ");
}
