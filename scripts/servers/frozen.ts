import { existsSync, readdirSync, readFileSync } from "node:fs";

const PATIENCE_MS = 5_000;

/**
 * Waits, without giving the event loop up, until SIGSTOP has reached each thread of a process: the kernel stops one after
 * the other, and until then some still answer. Does nothing where there is no /proc.
 * @throws where threads still run after 5 s
 */
export function waitUntilFrozen(pid: number): void {
	const tasks = `/proc/${pid}/task`;
	for (const end = Date.now() + PATIENCE_MS; existsSync(tasks) && !readdirSync(tasks).every(isStopped); )
		if (Date.now() > end) throw new Error(`Process ${pid} has not stopped within ${PATIENCE_MS} ms`);

	function isStopped(task: string): boolean {
		return /^State:\s*T/m.test(readFileSync(`${tasks}/${task}/status`, "utf8"));
	}
}
