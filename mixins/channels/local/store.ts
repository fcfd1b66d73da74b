import type { OutgoingMessage, StreamDefinition } from "../transport.ts";
import { LocalDatabase } from "./database.ts";

const TABLES = `
	CREATE TABLE IF NOT EXISTS stream (
		name TEXT PRIMARY KEY, created TEXT NOT NULL, last_seq INTEGER NOT NULL DEFAULT 0
	);
	CREATE TABLE IF NOT EXISTS message (
		stream TEXT NOT NULL, seq INTEGER NOT NULL, subject TEXT NOT NULL, msg_id TEXT NOT NULL,
		headers TEXT NOT NULL, data TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (stream, seq)
	) WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS message_msg_id ON message (stream, msg_id);
	CREATE INDEX IF NOT EXISTS message_time ON message (stream, time);
	CREATE TABLE IF NOT EXISTS consumer (
		stream TEXT NOT NULL, name TEXT NOT NULL, next_seq INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (stream, name)
	);
	CREATE TABLE IF NOT EXISTS pending (
		stream TEXT NOT NULL, consumer TEXT NOT NULL, seq INTEGER NOT NULL,
		attempts INTEGER NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (stream, consumer, seq)
	) WITHOUT ROWID;
`;

/** A message's row. */
export interface MessageRow {
	seq: number;
	subject: string;
	headers: string;
	data: string;
	time: number;
}

/** A message's row with how often it was handed out. */
export interface TakenRow extends MessageRow {
	attempts: number;
}

/** Where a message is now. */
export interface Appended {
	seq: number;
	/** It was there already. */
	duplicate: boolean;
}

/** The file in which streams, consumers and what was handed out are kept. All calls are synchronous and short. */
export class LocalStore {
	readonly #database: LocalDatabase;

	/** @param file is created with its folder where missing */
	constructor(file: string) {
		this.#database = new LocalDatabase(file, TABLES);
	}

	close(): void {
		this.#database.close();
	}

	declareStream({ name }: StreamDefinition, now: number): void {
		const created = new Date(now).toISOString();
		this.#database.run("INSERT INTO stream (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", name, created);
	}

	declareConsumer(stream: string, name: string): void {
		this.#database.run("INSERT INTO consumer (stream, name) VALUES (?, ?) ON CONFLICT DO NOTHING", stream, name);
	}

	/** Stores messages in one transaction. @param since ids stored before this time are forgotten */
	append(messages: readonly { message: OutgoingMessage; since: number }[], now: number): Appended[] {
		return this.#database.transaction(() => messages.map(({ message, since }) => this.#appendOne(message, now, since)));
	}

	/**
	 * Hands out the oldest message that is due again, else the next new ones; they are due again at `due`. One that comes again
	 * comes alone: it may have killed a process, and what had been handed out beside it would be counted as tried, too.
	 */
	take(stream: string, consumer: string, { now, due, limit }: { now: number; due: number; limit: number }): TakenRow[] {
		return this.#database.transaction(() => {
			const again = this.#database.get<TakenRow>(
				`SELECT m.seq, subject, headers, data, time, attempts + 1 AS attempts FROM pending p
				JOIN message m ON m.stream = p.stream AND m.seq = p.seq
				WHERE p.stream = ? AND consumer = ? AND due <= ? ORDER BY p.seq LIMIT 1`,
				stream,
				consumer,
				now
			);
			if (again) {
				this.#database.run(
					"UPDATE pending SET attempts = ?, due = ? WHERE stream = ? AND consumer = ? AND seq = ?",
					again.attempts,
					due,
					stream,
					consumer,
					again.seq
				);
				return [again];
			}
			const fresh = this.#database.all<MessageRow>(
				`SELECT seq, subject, headers, data, time FROM message WHERE stream = ?1 AND seq >=
					(SELECT next_seq FROM consumer WHERE stream = ?1 AND name = ?2) ORDER BY seq LIMIT ?3`,
				stream,
				consumer,
				limit
			);
			for (const { seq } of fresh)
				this.#database.run("INSERT INTO pending VALUES (?, ?, ?, 1, ?)", stream, consumer, seq, due);
			const last = fresh.at(-1);
			if (last)
				this.#database.run(
					"UPDATE consumer SET next_seq = ? WHERE stream = ? AND name = ?",
					last.seq + 1,
					stream,
					consumer
				);
			return fresh.map(message => ({ ...message, attempts: 1 }));
		});
	}

	/** Takes messages back as if they had not been handed out this time. */
	untake(stream: string, consumer: string, seqs: readonly number[]): void {
		this.#database.transaction(() => {
			for (const seq of seqs)
				this.#database.run(
					"UPDATE pending SET attempts = attempts - 1, due = 0 WHERE stream = ? AND consumer = ? AND seq = ?",
					stream,
					consumer,
					seq
				);
		});
	}

	/** Forgets that messages were handed out: they are done with. */
	ack(stream: string, consumer: string, seqs: readonly number[]): void {
		this.#database.transaction(() => {
			for (const seq of seqs)
				this.#database.run("DELETE FROM pending WHERE stream = ? AND consumer = ? AND seq = ?", stream, consumer, seq);
		});
	}

	postpone(stream: string, consumer: string, seq: number, due: number): void {
		this.#database.run(
			"UPDATE pending SET due = ? WHERE stream = ? AND consumer = ? AND seq = ?",
			due,
			stream,
			consumer,
			seq
		);
	}

	/** When a message that was handed out is due again, the earliest. */
	nextDue(stream: string, consumer: string): number | undefined {
		const row = this.#database.get<{ due: number | null }>(
			"SELECT MIN(due) AS due FROM pending WHERE stream = ? AND consumer = ?",
			stream,
			consumer
		);
		return row?.due ?? undefined;
	}

	/** The messages from `seq` on, one by one. */
	*from(stream: string, seq: number): Generator<MessageRow> {
		for (let next: number | undefined = seq; next !== undefined; ) {
			const row: MessageRow | undefined = this.#database.get(
				"SELECT seq, subject, headers, data, time FROM message WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT 1",
				stream,
				next
			);
			if (row) yield row;
			next = row && row.seq + 1;
		}
	}

	remove(stream: string, seq: number): boolean {
		return this.#database.transaction(() => {
			this.#database.run("DELETE FROM pending WHERE stream = ? AND seq = ?", stream, seq);
			return this.#database.run("DELETE FROM message WHERE stream = ? AND seq = ?", stream, seq) === 1;
		});
	}

	/** Removes the oldest messages of before a time, `limit` at most. @returns how many */
	removeBefore(stream: string, time: number, limit: number): number {
		return this.#database.transaction(() => {
			const removed = this.#database.run(
				`DELETE FROM message WHERE stream = ?1
					AND seq IN (SELECT seq FROM message WHERE stream = ?1 AND time < ?2 ORDER BY time LIMIT ?3)`,
				stream,
				time,
				limit
			);
			this.#database.run(
				`DELETE FROM pending WHERE stream = ?1
					AND NOT EXISTS (SELECT 1 FROM message WHERE stream = ?1 AND seq = pending.seq)`,
				stream
			);
			return removed;
		});
	}

	streamState(stream: string) {
		return this.#database.get<{ created: string; lastSeq: number }>(
			"SELECT created, last_seq AS lastSeq FROM stream WHERE name = ?",
			stream
		);
	}

	consumerState(stream: string, consumer: string): { waiting: number; pending: number } {
		return (
			this.#database.get(
				`SELECT (SELECT COUNT(*) FROM message m WHERE m.stream = c.stream AND m.seq >= c.next_seq) AS waiting,
				(SELECT COUNT(*) FROM pending p WHERE p.stream = c.stream AND p.consumer = c.name) AS pending
			FROM consumer c WHERE c.stream = ? AND c.name = ?`,
				stream,
				consumer
			) ?? { waiting: 0, pending: 0 }
		);
	}

	/** How many messages were handed out and are not acknowledged. */
	pending(stream: string, consumer: string): number {
		const row = this.#database.get<{ pending: number }>(
			"SELECT COUNT(*) AS pending FROM pending WHERE stream = ? AND consumer = ?",
			stream,
			consumer
		);
		return row?.pending ?? 0;
	}

	#appendOne({ stream, subject, id, headers, data }: OutgoingMessage, now: number, since: number): Appended {
		const known = this.#database.get<{ seq: number }>(
			// Left to itself, SQLite takes the index on the time and looks at every message since then.
			"SELECT seq FROM message INDEXED BY message_msg_id WHERE stream = ? AND msg_id = ? AND time >= ?",
			stream,
			id,
			since
		);
		if (known) return { seq: known.seq, duplicate: true };
		const { seq } = this.#database.get<{ seq: number }>(
			"UPDATE stream SET last_seq = last_seq + 1 WHERE name = ? RETURNING last_seq AS seq",
			stream
		) as { seq: number };
		this.#database.run(
			"INSERT INTO message (stream, seq, subject, msg_id, headers, data, time) VALUES (?, ?, ?, ?, ?, ?, ?)",
			stream,
			seq,
			subject,
			id,
			JSON.stringify(headers),
			data,
			now
		);
		return { seq, duplicate: false };
	}
}
