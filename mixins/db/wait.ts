import { setTimeout as delay } from "node:timers/promises";
import type { Sequelize } from "sequelize";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const ANSWER_TIMEOUT_MS = 2_000;

interface Waiting {
	/** How the database is called in the log. */
	name: string;
	logger: { warn(message: string): void };
	/** Ends the waiting: the promise is rejected with its reason. */
	signal: AbortSignal;
}

/** A mistake in the program, which no database has made and no waiting puts right. */
function isMistake(error: unknown): boolean {
	return ((error as { parent?: unknown }).parent ?? error) instanceof TypeError;
}

/**
 * Waits until the database answers. Each failed attempt is logged; the pause between attempts doubles from 0.2 to 5
 * seconds, give or take a quarter, so that many nodes do not come back in one beat.
 *
 * @throws TypeError, alone or as the cause of what Sequelize throws, and the reason of the signal
 */
export async function untilReachable(
	sequelize: Pick<Sequelize, "authenticate">,
	{ name, logger, signal }: Waiting
): Promise<void> {
	for (let attempt = 1; ; attempt++) {
		signal.throwIfAborted();
		try {
			return await sequelize.authenticate({ logging: false });
		} catch (error) {
			signal.throwIfAborted();
			if (isMistake(error)) throw error;
			const pause = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
			const reason = error instanceof Error ? error.message || error.name : String(error);
			logger.warn(
				`Database ${name} cannot be reached: ${reason}. ` +
					`Attempt ${attempt}, the next one in ${(pause / 1000).toFixed(1)} s.`
			);
			await delay(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
		}
	}
}

/**
 * Resolves when the database answers a query.
 *
 * @throws the error of the query, or an Error when two seconds have passed: a server that hangs keeps its connections
 */
export async function answers(sequelize: Sequelize): Promise<void> {
	const { promise: late, reject } = Promise.withResolvers<never>();
	const timer = setTimeout(reject, ANSWER_TIMEOUT_MS, new Error(`No answer within ${ANSWER_TIMEOUT_MS} ms`));
	const answer = sequelize.authenticate({ logging: false });
	try {
		await Promise.race([answer, late]);
	} finally {
		clearTimeout(timer);
	}
}
