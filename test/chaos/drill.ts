import { setTimeout as delay } from "node:timers/promises";
import { check, type Violation } from "./check.ts";
import { random } from "./events/config.ts";
import type { Fault } from "./fault.ts";
import type { Operation } from "./history.ts";
import { Load } from "./load.ts";
import type { Platform } from "./platform.ts";
import { settledState } from "./state.ts";

const BEFORE_MS = 1_000;
const AFTER_MS = 1_000;
/** A platform that has not recovered by then never will. */
const RECOVERY_MS = 45_000;
const WRITES: readonly string[] = ["create", "update", "remove"];
const FAILURE_STATUSES = [500, 503, 504] as const;

/** What one fault came to. Times in milliseconds; null where there is none. */
export interface Drill {
	fault: string;
	seconds: number;
	/** Acknowledged writes and answered reads. */
	writes: number;
	reads: number;
	registrations: number;
	/** Requests that failed, by status; "none": without an answer. */
	failed: Record<(typeof FAILURE_STATUSES)[number] | "none", number>;
	/** From the beginning of the fault, and from its end, to the first acknowledged write that was sent after it. */
	writtenAfterBegin: number | null;
	writtenAfterEnd: number | null;
	/** From the end of the fault to the last failure. */
	lastFailureAfterEnd: number | null;
	/** The slowest answer. */
	slowest: number;
	violations: Violation[];
}

/** Lets clients work on a platform, has a fault strike and heal, waits until all is quiet, and checks. */
export async function drill<P extends Platform>(platform: P, fault: Fault<P>, seed: number): Promise<Drill> {
	await fault.arrange?.(platform);
	const load = new Load(platform.gateways, `${fault.name}-${seed}`, seed);
	await load.start();
	await delay(BEFORE_MS);

	const struck = performance.now();
	await fault.strike(platform, random(seed));
	await delay(fault.seconds * 1000);
	await fault.heal(platform);
	const healed = performance.now();

	const recovered = await recovers(load, healed);
	await delay(AFTER_MS);
	await load.stop();
	const allowance = { failures: fault.failures, noAnswer: fault.noAnswer ?? false };
	const violations = await settledState(service => platform.databaseUrl(service), load).then(
		state => check(load.operations, state, allowance),
		(error): Violation[] => [{ rule: "not settled", detail: `What there is can not be read: ${error}` }]
	);
	if (!recovered) violations.push({ rule: "failed", detail: `not every client could write ${RECOVERY_MS} ms later` });
	for (const detail of platform.endedByThemselves()) violations.push({ rule: "failed", detail });
	await fault.tidy?.(platform);
	return { ...summary(fault, load.operations, struck, healed), violations };
}

/** Waits until every user has written something again. */
async function recovers({ operations, users }: Load, healed: number): Promise<boolean> {
	for (; performance.now() < healed + RECOVERY_MS; await delay(50)) {
		const writing = new Set(operations.filter(writtenAfter(healed)).map(({ user }) => user));
		if (users.every(({ name }) => writing.has(name))) return true;
	}
	return false;
}

function writtenAfter(time: number): (operation: Operation) => boolean {
	return ({ kind, began, outcome }) => began >= time && outcome === "done" && WRITES.includes(kind);
}

function summary(
	{ name, seconds }: Pick<Drill, "seconds"> & { name: string },
	operations: readonly Operation[],
	struck: number,
	healed: number
): Omit<Drill, "violations"> {
	const done = operations.filter(({ outcome }) => outcome === "done");
	const failures = operations.filter(({ status }) => status === 0 || status >= 500);
	const firstWritten = (from: number) =>
		earliest(
			operations.filter(writtenAfter(from)).map(({ ended }) => ended),
			from
		);
	const failedAfterEnd = failures.map(({ ended }) => ended).filter(ended => ended > healed);
	return {
		fault: name,
		seconds,
		writes: done.filter(({ kind }) => WRITES.includes(kind)).length,
		reads: done.filter(({ kind }) => kind === "read" || kind === "list").length,
		registrations: done.filter(({ kind }) => kind === "register").length,
		failed: {
			...(Object.fromEntries(
				FAILURE_STATUSES.map(status => [status, failures.filter(failure => failure.status === status).length])
			) as Record<(typeof FAILURE_STATUSES)[number], number>),
			none: failures.filter(({ status }) => status === 0).length
		},
		writtenAfterBegin: firstWritten(struck),
		writtenAfterEnd: firstWritten(healed),
		lastFailureAfterEnd: failedAfterEnd.length > 0 ? Math.round(Math.max(...failedAfterEnd) - healed) : null,
		slowest: Math.round(Math.max(...operations.map(({ began, ended }) => ended - began)))
	};
}

function earliest(times: number[], from: number): number | null {
	return times.length > 0 ? Math.round(Math.min(...times) - from) : null;
}
