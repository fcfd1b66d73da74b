/** Sends one statement to the database that is migrated. */
export type Send = (statement: string) => Promise<void>;

// Ids are compared byte by byte: MySQL's usual collations take 'Abc' and 'aBC ' for one. SQLite does so anyway, and
// reads what stands in /*! */ as a comment.
const ASCII = "/*! CHARACTER SET ascii COLLATE ascii_bin */";
const TABLE = "/*! ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin */";
const LONG_TEXT = "MEDIUMTEXT /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */";

/** The tables of the service that owns sagas. A migration calls it, and `dropSagaTables` to go back. */
export async function createSagaTables(send: Send): Promise<void> {
	await send(`CREATE TABLE saga (
	gid VARCHAR(64) ${ASCII} NOT NULL PRIMARY KEY,
	name VARCHAR(64) ${ASCII} NOT NULL,
	version INTEGER NOT NULL,
	status VARCHAR(16) ${ASCII} NOT NULL,
	payload ${LONG_TEXT} NOT NULL,
	payload_hash CHAR(64) ${ASCII} NOT NULL,
	epoch INTEGER NOT NULL,
	owner VARCHAR(255) NOT NULL,
	lease_until DATETIME(3) NOT NULL,
	next_run_at DATETIME(3) NOT NULL,
	deadline DATETIME(3) NULL,
	reason ${LONG_TEXT} NULL,
	needs_attention INTEGER NOT NULL DEFAULT 0,
	traceparent VARCHAR(64) ${ASCII} NULL,
	created_at DATETIME(3) NOT NULL,
	updated_at DATETIME(3) NOT NULL,
	finished_at DATETIME(3) NULL
) ${TABLE}`);
	await send("CREATE INDEX saga_status_next_run_at ON saga (status, next_run_at)");
	await send("CREATE INDEX saga_finished_at ON saga (finished_at)");

	await send(`CREATE TABLE saga_step (
	gid VARCHAR(64) ${ASCII} NOT NULL,
	idx INTEGER NOT NULL,
	name VARCHAR(64) ${ASCII} NOT NULL,
	epoch INTEGER NOT NULL,
	action_status VARCHAR(16) ${ASCII} NOT NULL,
	compensate_status VARCHAR(16) ${ASCII} NOT NULL,
	attempts INTEGER NOT NULL,
	retry_at DATETIME(3) NULL,
	result ${LONG_TEXT} NULL,
	last_error ${LONG_TEXT} NULL,
	started_at DATETIME(3) NULL,
	finished_at DATETIME(3) NULL,
	compensated_at DATETIME(3) NULL,
	PRIMARY KEY (gid, idx)
) ${TABLE}`);

	await send(`CREATE TABLE saga_event (
	gid VARCHAR(64) ${ASCII} NOT NULL,
	seq INTEGER NOT NULL,
	at DATETIME(3) NOT NULL,
	kind VARCHAR(32) ${ASCII} NOT NULL,
	step VARCHAR(64) ${ASCII} NULL,
	epoch INTEGER NOT NULL,
	actor VARCHAR(255) NOT NULL,
	detail ${LONG_TEXT} NULL,
	PRIMARY KEY (gid, seq)
) ${TABLE}`);
}

/** Lets an operator's list begin with the newest saga without reading all: a migration of its own after `createSagaTables`. */
export async function createSagaListIndex(send: Send): Promise<void> {
	await send("CREATE INDEX saga_created_at_gid ON saga (created_at, gid)");
}

/** Takes `createSagaListIndex` back. */
export async function dropSagaListIndex(send: Send): Promise<void> {
	await send("DROP INDEX saga_created_at_gid /*! ON saga */");
}

/** Takes `createSagaTables` back. */
export async function dropSagaTables(send: Send): Promise<void> {
	for (const table of ["saga_event", "saga_step", "saga"]) await send(`DROP TABLE ${table}`);
}

/** The table of a service that takes part in sagas. It must be in the database that the business rows are in. */
export async function createBarrierTable(send: Send): Promise<void> {
	await send(`CREATE TABLE saga_barrier (
	gid VARCHAR(64) ${ASCII} NOT NULL,
	step VARCHAR(64) ${ASCII} NOT NULL,
	op VARCHAR(16) ${ASCII} NOT NULL,
	site VARCHAR(32) ${ASCII} NOT NULL,
	origin VARCHAR(16) ${ASCII} NOT NULL,
	result ${LONG_TEXT} NULL,
	created_at DATETIME(3) NOT NULL,
	PRIMARY KEY (gid, step, op, site)
) ${TABLE}`);
	await send("CREATE INDEX saga_barrier_created_at ON saga_barrier (created_at)");
}

/** Takes `createBarrierTable` back. */
export async function dropBarrierTable(send: Send): Promise<void> {
	await send("DROP TABLE saga_barrier");
}
