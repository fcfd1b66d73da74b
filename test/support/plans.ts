import type { TestContext } from "node:test";
import { type QueryOptions, QueryTypes, type Sequelize } from "sequelize";

/** A statement that was sent, and the steps in which the database carries it out, as JSON. */
export interface Plan {
	sql: string;
	steps: string[];
}

/**
 * The plans of the statements that a function sends, of those whose text matches (EXPLAIN). Of the prepared ones
 * (mixins/db/prepared.ts) only such as have no values.
 */
export async function plansOf(
	t: TestContext,
	db: Sequelize,
	matching: RegExp,
	work: () => Promise<unknown>
): Promise<Plan[]> {
	const { mock: queries } = t.mock.method(db, "query");
	const log: string[] = [];
	const { options } = db as unknown as { options: { logging: unknown } };
	const { logging } = options;
	options.logging = (text: string) => log.push(text);
	await work();
	options.logging = logging;
	queries.restore();

	const sent = queries.calls.map(call => call.arguments as unknown as [sql: string, QueryOptions]);
	const prepared = log.filter(text => !text.startsWith("Executing ")).map((sql): [string, QueryOptions] => [sql, {}]);
	const explain = db.getDialect() === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
	const plans: Plan[] = [];
	for (const [sql, { replacements, bind }] of [...sent, ...prepared]) {
		if (!matching.test(sql)) continue;
		const values = { ...(replacements && { replacements }), ...(bind && { bind }) };
		const steps = await db.query(`${explain} ${sql}`, { ...values, type: QueryTypes.SELECT });
		plans.push({ sql, steps: steps.map(step => JSON.stringify(step)) });
	}
	return plans;
}

/** `WITH` before a SELECT: the table `numbers`, whose column `n` counts from 0 to 9999. */
export const NUMBERS = `WITH digits AS (SELECT 0 AS n ${"123456789".replace(/./g, "UNION ALL SELECT $& ")}),
	numbers AS (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n FROM digits a, digits b, digits c, digits d)`;
