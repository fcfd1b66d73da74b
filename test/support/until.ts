import { setTimeout as delay } from "node:timers/promises";

/** Waits until a condition holds, asking every few milliseconds. @throws after 5 s */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
	const end = Date.now() + 5000;
	while (!(await condition())) {
		if (Date.now() > end) throw new Error("It did not happen within 5 s");
		await delay(5);
	}
}
