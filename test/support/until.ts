import { setTimeout as delay } from "node:timers/promises";

/** Waits until a condition holds, asking every few milliseconds. @throws after 20 s */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
	const end = Date.now() + 20_000;
	while (!(await condition())) {
		if (Date.now() > end) throw new Error("It did not happen within 20 s");
		await delay(5);
	}
}
