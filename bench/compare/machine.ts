import { readdirSync, readFileSync } from "node:fs";

/** Linux counts CPU time in these. */
export const TICKS_A_SECOND = 100;

/** CPU time of a process so far, in ticks. @param withChildren also that of children that have ended */
export function ticksOf(pid: number | undefined, withChildren = false): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
		.replace(/^.*\) /s, "")
		.split(" ");
	return fields.slice(11, withChildren ? 15 : 13).reduce((sum, field) => sum + Number(field), 0);
}

/**
 * Begins to watch what this process and all that it has started leave of the machine's CPU time.
 * @returns a function that tells which share others took meanwhile: other processes, or the hypervisor (0 to 1)
 */
export function watchOthers(): () => number {
	const before = { machine: machineTicks(), own: treeTicks(process.pid) };
	return () => {
		const { busy, all } = machineTicks();
		const own = treeTicks(process.pid) - before.own;
		return Math.max(0, busy - before.machine.busy - own) / Math.max(1, all - before.machine.all);
	};
}

/** Interrupts count neither as busy, since nobody knows for whom they were, nor as idle. */
function machineTicks() {
	const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, stolen = 0] = readFileSync(
		"/proc/stat",
		"utf8"
	)
		.split("\n", 1)
		.flatMap(line => line.split(/ +/).slice(1).map(Number));
	const busy = user + nice + system + stolen;
	return { busy, all: busy + idle + wait + irq + softirq };
}

/** A process that ends while it is looked at counts with its parent. */
function treeTicks(pid: number): number {
	try {
		const children = readdirSync(`/proc/${pid}/task`).flatMap(thread =>
			readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
		);
		return children.reduce((sum, child) => sum + treeTicks(child), ticksOf(pid, true));
	} catch {
		return 0;
	}
}
