import { env } from "../env.ts";
import { currentContext } from "./current-context.ts";
import { observe } from "./instruments.ts";

/** One SQL statement, as the DB mixin shows it. */
interface Statement {
	dialect: string;
	operation: string;
	table: string;
	/** The text without values. */
	shape(): string;
}

interface StatementEnd {
	rows?: number | undefined;
	error?: unknown;
}

/**
 * Gives the statements of a handler a span each, a place in `db_statement_time`, and a line in the log where they take
 * longer than `SLOW_STATEMENT_MS`. For the DB mixin's `connection.onStatement`. Statements outside of a handler
 * (outbox relay, saga polling, migrations, connecting) are not looked at.
 */
export function observeStatement(statement: Statement): (end: StatementEnd) => void {
	const ctx = currentContext();
	if (!ctx) return () => {};

	const { dialect, operation, table } = statement;
	const started = performance.now();
	// Not ctx.startSpan(), which takes the statement that runs beside this one for its parent.
	const span = ctx.span?.sampled
		? ctx.span.startSpan(`${operation} ${table}`.trim(), {
				type: "db",
				tags: { "span.kind": "client", "db.system": dialect, "db.statement": statement.shape() }
			})
		: undefined;

	return ({ rows, error }) => {
		const duration = performance.now() - started;
		observe(ctx.broker, "db.statement.time", duration, { operation, table });
		const limit = env().SLOW_STATEMENT_MS;
		if (limit > 0 && duration > limit)
			ctx.service?.logger.warn("Slow statement", {
				statement: statement.shape(),
				rows,
				duration_ms: Math.round(duration)
			});
		if (error) span?.setError(error as Error);
		span?.addTags({ "db.rows": rows }).finish();
	};
}
