import { QueryTypes, type Sequelize, type Transaction } from "sequelize";
import type { Statements } from "../db/prepared.ts";

/** What the relay has seen of a stream. */
export interface StreamRecord {
	stream: string;
	/** When the stream was created, as it says itself; empty while it was not looked at. */
	created: string;
	lastSeq: number;
	/** The last number that this outbox has given to a row for the stream. */
	sequence: number;
}

/** Remembers how far streams were, so that a stream that lost messages can be told, and the numbers given. */
export async function recordStreams(
	{ write }: Statements,
	records: Iterable<StreamRecord>,
	transaction: Transaction
): Promise<void> {
	for (const { stream, created, lastSeq, sequence } of records) {
		const values = [created, lastSeq, sequence, stream];
		const { rows } = await write(
			"UPDATE outbox_streams SET created = ?, last_seq = ?, last_sequence = ? WHERE stream = ?",
			values,
			transaction
		);
		if (rows === 0)
			await write(
				"INSERT INTO outbox_streams (created, last_seq, last_sequence, stream) VALUES (?, ?, ?, ?)",
				values,
				transaction
			);
	}
}

/** What was remembered. */
export async function recordedStreams(db: Sequelize): Promise<StreamRecord[]> {
	const rows = await db.query<{ stream: string; created: string; last_seq: number; last_sequence: number }>(
		"SELECT stream, created, last_seq, last_sequence FROM outbox_streams",
		{ type: QueryTypes.SELECT }
	);
	return rows.map(({ stream, created, last_seq, last_sequence }) => ({
		stream,
		created,
		lastSeq: Number(last_seq),
		sequence: Number(last_sequence)
	}));
}

/** Whether a stream has lost messages since it was seen: it was made anew, or its end is before where it was. */
export function wentBackwards(
	{ created, lastSeq }: StreamRecord,
	now: Pick<StreamRecord, "created" | "lastSeq">
): boolean {
	return created !== "" && (now.created !== created || now.lastSeq < lastSeq);
}
