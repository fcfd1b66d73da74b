import type { Letter, Replayed, WholeLetter } from "./letter.contract.ts";

/** A dead letter as the channels keep it. */
interface KeptLetter {
	id: number;
	buried_at: string;
	first_seen: string;
	consumer: string;
	stream: string;
	seq: number;
	subject: string;
	attempts: number;
	error: { code: string; name: string; message: string; stack: string };
	headers: Readonly<Record<string, string>>;
	data: string;
}

/** A letter as a list shows it. */
export function present({
	id,
	error,
	headers,
	buried_at,
	first_seen,
	consumer,
	stream,
	seq,
	subject,
	attempts
}: KeptLetter): Letter {
	return {
		letter_id: id,
		buried_at,
		first_seen,
		consumer,
		stream,
		seq,
		subject,
		attempts,
		event_id: headers["event-id"] ?? "",
		error_type: error.code || error.name,
		error_message: error.message
	};
}

/** A letter with everything that is known of it. */
export function presentWhole(letter: KeptLetter): WholeLetter {
	return { ...present(letter), error_stack: letter.error.stack, headers: letter.headers, data: letter.data };
}

const MOST_RECORDED = 100;

/** What the audit log keeps of a replay of many: how many, and which were the first. */
export function replayedDetails({ letter_ids }: Replayed): { letters: number; letter_ids: string } {
	return { letters: letter_ids.length, letter_ids: letter_ids.slice(0, MOST_RECORDED).join(",") };
}
