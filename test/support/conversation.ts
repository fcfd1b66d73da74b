import { setTimeout as delay } from "node:timers/promises";
import type { Answer, Client, RequestOptions } from "./client.ts";

/** One request and its answer, with what differs from run to run (ids, times, tokens) taken out. */
export interface Exchange {
	request: string;
	status: number;
	body: string;
	headers: Record<string, unknown>;
}

/** How many actions of the user, done or refused, the log knows at the end of the conversation. */
const AUDITED = 18;

const COMPARED_HEADERS = ["content-type", "allow", "www-authenticate", "location"];

/**
 * The recorded conversation: every route at least once, with success and refusals, as one client would have it. What it
 * returns must be the same on every shape of the platform.
 */
export async function conversation(client: Client, name: string): Promise<Exchange[]> {
	const exchanges: Exchange[] = [];
	const numbers = new Numbers();

	const say = async (
		method: string,
		path: string,
		options: RequestOptions = {},
		rewrite?: (text: string) => string
	) => {
		const answer = await client.send(method, path, options);
		exchanges.push({
			request: `${method} ${numbers.hide(path)}`,
			status: answer.status,
			body: numbers.hide(rewrite?.(answer.text) ?? answer.text).replaceAll(name, "<name>"),
			headers: Object.fromEntries(
				COMPARED_HEADERS.map(header => [header, numbers.hide(String(answer.headers[header]))])
			)
		});
		return answer;
	};

	await say("GET", "/ping");
	await say("GET", "/healthz");
	await say("GET", "/readyz");
	await say("GET", "/openapi.json");
	await say("GET", "/nothing");
	await say("PATCH", "/v1/note");

	const credentials = { username: name, password: "123456" };
	await say("POST", "/v1/user/register", { json: { ...credentials, password: "1" } });
	const headers = { "Idempotency-Key": `key of ${name}`.replaceAll(" ", "-") };
	await say("POST", "/v1/user/register", { form: credentials, headers });
	await say("POST", "/v1/user/register", { form: credentials, headers });
	await say("POST", "/v1/user/register", { form: { ...credentials, password: "another" }, headers });
	await say("POST", "/v1/user/register", { form: { ...credentials, username: name.toUpperCase() }, headers });
	await say("POST", "/v1/user/register", { form: credentials, headers: { "Idempotency-Key": "two words" } });
	await say("POST", "/v1/user/register", { json: { ...credentials, username: name.toUpperCase() } });
	await say("POST", "/v1/user/login", { json: { ...credentials, password: "wrong!" } });
	const login = await say("POST", "/v1/user/login", { form: credentials });
	const refreshed = await say("POST", "/v1/user/refresh", { json: { refresh_token: login.body.refresh_token } });
	const token = refreshed.body.token as string;
	await say("GET", "/v1/user/me", { token });
	await say("GET", "/v1/user/me");

	await say("GET", "/v1/points", { token });
	await say("GET", "/v1/points/history", { token });
	await say("GET", "/v1/points/history?limit=0", { token });
	await say("GET", "/v1/points/history?cursor=x", { token });
	await say("GET", "/v1/saga/unknown");
	for (const path of ["/v1/admin/saga", "/v1/admin/saga/unknown"]) await say("GET", path, { token });
	for (const verb of ["retry", "skip", "fail"])
		await say("POST", `/v1/admin/saga/unknown/${verb}`, { token, json: { reason: "why not", step: "points" } });

	const titles = ["Shopping", "École d'été", "100%_\\", "שלום 👋", "<script>alert(1)</script>"];
	const ids: number[] = [];
	for (const title of titles) {
		const created = await say("POST", "/v1/note", { token, json: { title, content: `About ${title}\n\twith lines` } });
		ids.push((created.body.data as { note_id: number }).note_id);
	}
	await say("POST", "/v1/note", { token, json: { title: "", content: 5, user_id: 1 } });
	await say("POST", "/v1/note", { token, raw: "{", headers: { "Content-Type": "application/json" } });
	await say("POST", "/v1/note", { token, raw: "title=a", headers: { "Content-Type": "text/plain" } });

	const [first, second] = ids;
	await say("GET", "/v1/note/query", { token });
	for (const key of ["SHOPPING", "éCOLE D'ÉTÉ", "ecole", "%", "_\\", "שלום", "👋", "absent", "<script>"])
		await say("GET", `/v1/note/query?search_key=${encodeURIComponent(key)}`, { token });
	const page = await say("GET", "/v1/note/query?limit=2", { token });
	const cursor = (page.body.data as { next_cursor: string }).next_cursor;
	await say("GET", `/v1/note/query?limit=2&cursor=${cursor}`, { token });
	await say("GET", "/v1/note/query?limit=2&offset=4", { token });
	await say("GET", "/v1/note/query?limit=0&offset=-1&order=asc", { token });

	await say("GET", `/v1/note/${first}`, { token });
	await say("PUT", `/v1/note/${first}`, { token, json: { title: "Changed", version: 1 } });
	await say("PUT", `/v1/note/${first}`, { token, json: { content: "Stale", version: 1 } });
	await say("PUT", `/v1/note/${first}`, { token, json: {} });
	await say("DELETE", `/v1/note/${second}`, { token });
	await say("DELETE", `/v1/note/${second}`, { token });
	await say("GET", `/v1/note/${second}`, { token });
	await say("GET", "/v1/note/abc", { token });
	await say("GET", "/v1/note/query?search_key=changed", { token });

	await say("PUT", "/v1/user/password", { token, json: { old_password: "wrong!", new_password: "654321" } });
	await say("PUT", "/v1/user/password", { token, json: { old_password: "123456", new_password: "654321" } });
	await say("GET", "/v1/user/me", { token });
	const again = await say("POST", "/v1/user/login", { json: { ...credentials, password: "654321" } });
	await audited(say, client, again.body.token as string);
	await say("POST", "/v1/user/logout", { token: again.body.token as string });
	await say("POST", "/v1/user/logout", { token: again.body.token as string });
	return exchanges;
}

/** What the user has done above, once it has reached the log, and what only an admin may do. */
async function audited(
	say: (method: string, path: string, options: RequestOptions, rewrite?: (text: string) => string) => Promise<Answer>,
	client: Client,
	token: string
): Promise<void> {
	const page = "/v1/audit?limit=100";
	for (const end = Date.now() + 20_000; Date.now() < end; await delay(20)) {
		const { entries } = (await client.send("GET", page, { token })).body.data as { entries: unknown[] };
		if (entries.length >= AUDITED) break;
	}
	await say("GET", page, { token }, bySource);
	await say("GET", "/v1/audit?outcome=refused&action=note.update&limit=1", { token });
	await say("GET", "/v1/audit?outcome=perhaps&cursor=x&from=yesterday", { token });
	await say("GET", "/v1/audit?from=yesterday", { token });
	await say("GET", "/v1/audit?user_id=9007199254740991", { token });
	await say("GET", "/v1/audit", {});

	await say("GET", "/v1/admin/letter", { token });
	await say("GET", "/v1/admin/letter/1", { token });
	await say("POST", "/v1/admin/letter/replay", { token, json: {} });
	await say("POST", "/v1/admin/letter/1/replay", { token });
	await say("DELETE", "/v1/admin/letter/1", { token });
}

/** Entries of one source come in its order, those of several as they reached the log. */
function bySource(text: string): string {
	const answer = JSON.parse(text) as { data: { entries: { source: string }[] } };
	answer.data.entries.sort((a, b) => a.source.localeCompare(b.source));
	return JSON.stringify(answer);
}

/** Gives each id, time and token of a run a number in order of appearance, so that two runs can be compared. */
class Numbers {
	readonly #seen = new Map<string, string>();

	hide(text: string): string {
		return text
			.replace(/"(token|refresh_token|next_cursor)":"[^"]+"/g, (_, key) => `"${key}":"<${key}>"`)
			.replace(/"(expire|create_time|update_time)":("[^"]+"|\d+)/g, (_, key) => `"${key}":<time>`)
			.replace(/"(note_id|user_id)":(\d+)/g, (_, key, id) => `"${key}":${this.#numbered(key, id)}`)
			.replace(/"(entry_id|sequence)":\d+/g, (_, key) => `"${key}":<${key}>`)
			.replace(/"(time|request_id|trace_id|object_id)":"[^"]+"/g, (_, key) => `"${key}":"<${key}>"`)
			.replace(/register-[\w-]{43}/g, "<gid>")
			.replace(/(\/v1\/note\/)(\d+)/g, (_, path, id) => `${path}${this.#numbered("note_id", id)}`)
			.replace(/(cursor=)[^&]+/g, "$1<cursor>");
	}

	#numbered(kind: string, id: string): string {
		const key = `${kind} ${id}`;
		if (!this.#seen.has(key)) this.#seen.set(key, `<${kind} ${this.#seen.size + 1}>`);
		return this.#seen.get(key) as string;
	}
}
