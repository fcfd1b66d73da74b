/** A row to be published. */
export interface OutboxRow {
	id: number;
	msg_id: string;
	stream: string;
	subject: string;
	aggregate: string | null;
	version: number | null;
	payload: string;
	/** JSON. */
	headers: string;
	/** The number among all rows of this outbox for this stream, from 1 without gaps. */
	sequence: number;
	created_at: number;
	attempts: number;
}

/** A new row. */
export type NewRow = Pick<OutboxRow, "msg_id" | "stream" | "subject" | "aggregate" | "version" | "payload" | "headers">;

/** Of {@link OutboxRow}. */
export const COLUMNS =
	"id, msg_id, stream, subject, aggregate, version, payload, headers, sequence, created_at, attempts";

/** A driver may give a BIGINT as text. */
export function numeric(row: OutboxRow): OutboxRow {
	const { id, version, sequence, created_at } = row;
	return {
		...row,
		id: Number(id),
		version: version === null ? null : Number(version),
		sequence: Number(sequence ?? 0),
		created_at: Number(created_at)
	};
}
