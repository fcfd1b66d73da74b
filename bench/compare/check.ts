import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { NEW_NOTE, type Tokens } from "./data.ts";

type Answer = { status: number; body: { data: Record<string, unknown> } };

/** @throws where a system answers otherwise than the first one: what does less work must not win by it */
export async function checkAnswers(urls: ReadonlyMap<string, string>, tokens: Tokens): Promise<void> {
	const [reader = ""] = readFileSync(tokens.readers, "utf8").split("\n");
	const [writer = ""] = readFileSync(tokens.writers, "utf8").split("\n");
	let expected: Record<string, Answer> | undefined;
	for (const [name, url] of urls) {
		const answers = {
			list: await ask(`${url}/v1/note/query`, reader),
			page: await ask(`${url}/v1/note/query?limit=7&offset=15`, reader),
			created: withoutChance(await ask(`${url}/v1/note`, writer, NEW_NOTE)),
			refused: { status: (await ask(`${url}/v1/note/query`, `${reader}x`)).status }
		};
		expected ??= answers as never;
		assert.deepEqual(answers, expected, `${name} answers otherwise`);
	}
}

async function ask(url: string, token: string, body?: string): Promise<Answer> {
	const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
	const answer = await fetch(url, { headers, ...(body && { method: "POST", body }) });
	return { status: answer.status, body: (await answer.json()) as Answer["body"] };
}

/** Without what no two notes have in common. */
function withoutChance({ status, body }: Answer) {
	const { note_id, create_time, update_time, ...data } = body.data;
	return {
		status,
		body: { ...body, data: { ...data, kinds: [note_id, create_time, update_time].map(v => typeof v) } }
	};
}
