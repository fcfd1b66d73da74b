import { QueryTypes, type Sequelize, type Transaction } from "sequelize";

/** What the relay has seen of a stream. */
export interface StreamRecord {
	stream: string;
	/** When the stream was created, as it says itself. */
	created: string;
	lastSeq: number;
}

/** Remembers how far streams were, so that a stream that lost messages can be told. */
export async function recordStreams(db: Sequelize, records: StreamRecord[], transaction: Transaction): Promise<void> {
	for (const { stream, created, lastSeq } of records)
		await update(
			db,
			"UPDATE outbox_streams SET created = :created, last_seq = :lastSeq WHERE stream = :stream",
			{ stream, created, lastSeq },
			transaction
		);
}

/**
 * Takes the next numbers of streams.
 * @param counts how many for each stream
 * @returns the last number of each before
 */
export async function numberStreams(
	db: Sequelize,
	counts: ReadonlyMap<string, number>,
	transaction: Transaction
): Promise<Map<string, number>> {
	const last = new Map<string, number>();
	for (const [stream, count] of counts) {
		const values = { stream, count };
		const known = await update(
			db,
			"UPDATE outbox_streams SET last_sequence = last_sequence + :count WHERE stream = :stream",
			values,
			transaction
		);
		if (known === 0)
			await db.query(
				"INSERT INTO outbox_streams (stream, created, last_seq, last_sequence) VALUES (:stream, '', 0, :count)",
				{ replacements: values, transaction }
			);
		const [row] = await db.query<{ last_sequence: number }>(
			"SELECT last_sequence FROM outbox_streams WHERE stream = :stream",
			{ replacements: values, type: QueryTypes.SELECT, transaction }
		);
		last.set(stream, Number(row?.last_sequence) - count);
	}
	return last;
}

/** What was remembered. */
export async function recordedStreams(db: Sequelize): Promise<StreamRecord[]> {
	const rows = await db.query<{ stream: string; created: string; last_seq: number }>(
		"SELECT stream, created, last_seq FROM outbox_streams WHERE created <> ''",
		{ type: QueryTypes.SELECT }
	);
	return rows.map(({ stream, created, last_seq }) => ({ stream, created, lastSeq: Number(last_seq) }));
}

/** Whether a stream has lost messages since: it was made anew, or its end is before where it was. */
export function wentBackwards(recorded: StreamRecord, now: { created: string; lastSeq: number }): boolean {
	return now.created !== recorded.created || now.lastSeq < recorded.lastSeq;
}

async function update(db: Sequelize, sql: string, replacements: object, transaction: Transaction): Promise<number> {
	const options = { replacements: { ...replacements }, type: QueryTypes.BULKUPDATE, transaction };
	return (await db.query(sql, options)) as unknown as number;
}
