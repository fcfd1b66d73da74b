import { BaseError } from "sequelize";

/** Where a run of migrations stopped. */
interface Failure {
	service: string;
	direction: "up" | "down";
	migration: string;
	/** The migrations that this run had finished before. */
	finished: string[];
	/** The statements that the failed migration had sent. */
	statements: string[];
	/** Whether the database undid what the failed migration had done. */
	undone: boolean;
	cause: unknown;
}

/** A migration failed. The message says in which state the database is now. */
export class MigrationError extends Error {
	readonly migration: string;
	readonly finished: string[];
	/** What the failed migration did and the database kept. */
	readonly kept: string[];

	constructor({ service, direction, migration, finished, statements, undone, cause }: Failure) {
		const refused = cause instanceof BaseError;
		const kept = undone ? [] : statements.slice(0, refused ? -1 : undefined);
		const reason = cause instanceof Error ? cause.message : String(cause);
		super(
			[
				`Migration '${migration}' (${direction}) of service '${service}' failed: ${reason}`,
				undone || kept.length === 0
					? "It has left no trace in the database."
					: ["MySQL cannot undo what it had done before:", ...kept].join("\n\t"),
				finished.length > 0 ? `Done before it: ${finished.join(", ")}.` : "No migration was done before it."
			].join("\n"),
			{ cause }
		);
		this.name = "MigrationError";
		this.migration = migration;
		this.finished = finished;
		this.kept = kept;
	}
}
