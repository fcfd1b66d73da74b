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
	for (const { stream, created, lastSeq } of records) {
		const replacements = { stream, created, lastSeq };
		const known = (await db.query(
			"UPDATE outbox_streams SET created = :created, last_seq = :lastSeq WHERE stream = :stream",
			{ replacements, type: QueryTypes.BULKUPDATE, transaction }
		)) as unknown as number;
		if (known > 0) continue;
		await db.query("INSERT INTO outbox_streams (stream, created, last_seq) VALUES (:stream, :created, :lastSeq)", {
			replacements,
			transaction
		});
	}
}

/** What was remembered. */
export async function recordedStreams(db: Sequelize): Promise<StreamRecord[]> {
	const rows = await db.query<{ stream: string; created: string; last_seq: number }>(
		"SELECT stream, created, last_seq FROM outbox_streams",
		{ type: QueryTypes.SELECT }
	);
	return rows.map(({ stream, created, last_seq }) => ({ stream, created, lastSeq: Number(last_seq) }));
}

/** Whether a stream has lost messages since: it was made anew, or its end is before where it was. */
export function wentBackwards(recorded: StreamRecord, now: { created: string; lastSeq: number }): boolean {
	return now.created !== recorded.created || now.lastSeq < recorded.lastSeq;
}
