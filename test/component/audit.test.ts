import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Span, TracerExporters } from "moleculer";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { hasType } from "../../lib/errors.ts";
import { contextMiddleware } from "../../lib/observability/current-context.ts";
import type { Channels } from "../../mixins/channels/channels.ts";
import type { AuditPage, AuditVerdict } from "../../services/audit/audit.contract.ts";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { newAdmin, onBothShapes, startApp, startSplitApp, useEnvironment } from "../support/app.ts";
import type { Client } from "../support/client.ts";
import { until } from "../support/until.ts";

useEnvironment();

/** Keeps finished spans. */
class Kept extends TracerExporters.Base {
	readonly spans: Span[] = [];

	override spanFinished(span: Span): void {
		this.spans.push(span);
	}
}

async function entriesOf(client: Client, token: string, query = "", least = 1): Promise<AuditPage["entries"]> {
	let entries: AuditPage["entries"] = [];
	await until(`${least} entries`, async () => {
		const answer = await client.send("GET", `/v1/audit?limit=100${query}`, { token });
		({ entries } = assertSuccess<AuditPage>(answer));
		return entries.length >= least;
	});
	return entries;
}

describe("The audit log", () => {
	onBothShapes(app => {
		it("shows a user what they did and were refused, and an admin what everybody did", async () => {
			const { client } = app();
			const [mine, other, admin] = [await client.newUser(), await client.newUser(), await newAdmin(app())];
			const note = await client.newNote(mine.token);
			await client.send("DELETE", `/v1/note/${note.note_id}`, { token: other.token });

			const done = await entriesOf(client, mine.token, "", 4);
			// The saga and the action that began it end at the same time, in databases of their own.
			assert.deepEqual(done.map(({ action, outcome }) => `${action} ${outcome}`).sort(), [
				"note.create done",
				"points.grant done",
				"user.login done",
				"user.register done"
			]);
			const [refused] = await entriesOf(client, other.token, "&outcome=refused");
			const { action, object_type, object_id, user_id, error } = refused as NonNullable<typeof refused>;
			assert.deepEqual(
				{ action, object_type, object_id, user_id, error },
				{
					action: "note.remove",
					object_type: "note",
					object_id: String(note.note_id),
					user_id: other.user_id,
					error: "NOTE_NOT_FOUND"
				}
			);
			assertFailure(await client.send("GET", `/v1/audit?user_id=${other.user_id}`, { token: mine.token }), "forbidden");
			const seen = await entriesOf(client, admin.token, `&object_type=note&object_id=${note.note_id}`, 2);
			assert.deepEqual(
				seen.map(entry => entry.user_id),
				[other.user_id, mine.user_id]
			);
		});

		it("takes no name that ends in a blank, which MySQL would not see", async () => {
			const { client } = app();
			const { token } = await client.newUser();
			for (const filter of ["action=note.create%20", "object_type=note%20", "object_id=1%20"])
				assertFailure(await client.send("GET", `/v1/audit?${filter}`, { token }), "invalid");
		});

		it("holds what the gateway refused before any action saw it, each kind once with its number", async () => {
			const { client, broker } = app();
			const [user, admin] = [await client.newUser(), await newAdmin(app())];
			const write = { json: { title: "a", content: "b" } };
			const query = `&object_type=request&from=${new Date().toISOString()}`;
			for (let i = 0; i < 3; i++)
				assertFailure(await client.send("POST", "/v1/note", { ...write, token: "forged" }), "unauthorized");
			assertFailure(await client.send("GET", "/v1/admin/letter", { token: user.token }), "forbidden");
			assertFailure(await client.send("GET", "/v1/note/query", { token: "forged" }), "unauthorized");
			// Read before anybody looks at the token: nobody's.
			const headers = { "Content-Type": "application/json" };
			assertFailure(await client.send("POST", "/v1/note", { token: user.token, headers, raw: "{" }), "unreadable");
			const gateway = broker.getLocalService("api") as unknown as { tellRefusals(): Promise<void> };
			await gateway.tellRefusals();
			const refused = await entriesOf(client, admin.token, query, 3);
			assert.deepEqual(
				refused
					.map(({ source, action, user_id, error, details }) => [source, action, user_id, error, details.count])
					.sort(),
				[
					["api", "letter.list", user.user_id, "FORBIDDEN", 1],
					["api", "note.create", null, "BODY_NOT_JSON", 1],
					["api", "note.create", null, "UNAUTHENTICATED", 3]
				]
			);
			await gateway.tellRefusals();
			assert.equal((await entriesOf(client, admin.token, query, 3)).length, 3);
			const [verdict] = await call(app().worker, "audit.verify", { source: "api" });
			assert.equal(verdict?.broken, null);
		});

		it("refuses a time that is none", async () => {
			const { client } = app();
			const { token } = await client.newUser();
			for (const time of ["2026-02-30T00:00:00Z", "0000000000", "12/13/2026 10:00"])
				assertFailure(await client.send("GET", `/v1/audit?to=${encodeURIComponent(time)}`, { token }), "invalid");
		});

		it("is verified against an end that was kept elsewhere, of the source that it is of", async () => {
			const { client, worker } = app();
			const { token } = await client.newUser();
			await entriesOf(client, token, "", 1);
			const verify = (source: string | undefined, anchor: { position: number; hash: string }) =>
				call(worker, "audit.verify", { ...(source && { source }), anchor });
			const [{ position, hash }] = (await call(worker, "audit.verify", { source: "user" })) as [AuditVerdict];

			assert.equal((await verify("user", { position, hash }))[0]?.broken, null);
			await assert.rejects(verify(undefined, { position, hash }), error => hasType(error, "VALIDATION_ERROR"));
			const removed = { problem: "removed", position: 1, sequence: null, entry_id: null };
			assert.deepEqual(
				(await verify("mall", { position, hash })).map(({ source, entries, broken }) => ({ source, entries, broken })),
				[{ source: "mall", entries: 0, broken: removed }]
			);
		});

		it("holds no secret: neither in its table, nor in the outboxes, nor in the streams", async () => {
			const { client, worker } = app();
			const secret = `s3cret-${process.pid}-xyzzy`;
			const user = await client.newUser(undefined, secret);
			await client.send("POST", "/v1/user/login", { json: { username: user.username, password: `${secret}-wrong` } });
			const wrong = { old_password: `${secret}-old`, new_password: `${secret}-new` };
			await client.send("PUT", "/v1/user/password", { token: user.token, json: wrong });
			await client.newNote(user.token, "private", `${secret}-note`);
			await entriesOf(client, user.token, "", 4);
			const verdicts = await call(worker, "audit.verify", {});
			assert.ok(verdicts.every(({ broken }) => broken === null));

			const folder = env().DATA_DIR;
			for (const file of readdirSync(folder).filter(name => /^(audit|streams|letter)/.test(name))) {
				const content = readFileSync(join(folder, file), "latin1");
				assert.ok(!content.includes(secret), `${file} holds a password`);
				assert.ok(!content.includes(user.refresh_token), `${file} holds a token`);
			}
		});

		it("keeps an action and its record together: what can not be recorded is not done", async t => {
			const { client, worker } = app();
			const user = await client.newUser();
			const note = worker.getLocalService("note") as unknown as { outbox: { add(): Promise<string> } };
			t.mock.method(note.outbox, "add", () => Promise.reject(new Error("no space left")));
			const answer = await client.send("POST", "/v1/note", { token: user.token, json: { title: "a", content: "b" } });
			assertFailure(answer, "broken");
			t.mock.restoreAll();
			const page = await client.send("GET", "/v1/note/query", { token: user.token });
			assert.equal(assertSuccess<{ total: number }>(page).total, 0);
		});

		it("lets an admin list, show, replay and discard dead letters, and records it", async () => {
			const { client, worker } = app();
			const admin = await newAdmin(app());
			const { channels } = worker.getLocalService("letter") as unknown as { channels: Channels };
			const bad = (id: string) =>
				channels.publish({ stream: "AUDIT", subject: "audit.recorded", id, headers: { "event-id": id }, data: "{" });
			await bad(`a-${Math.random()}`);
			await bad(`b-${Math.random()}`);
			const list = async () => {
				const answer = await client.send("GET", "/v1/admin/letter", { token: admin.token });
				return assertSuccess<{ letters: { letter_id: number; error_message: string }[] }>(answer).letters;
			};
			await until("two letters", async () => (await list()).length === 2);
			const [first, second] = await list();
			const path = `/v1/admin/letter/${first?.letter_id}`;
			const shown = assertSuccess<{ data: string }>(await client.send("GET", path, { token: admin.token }));
			assert.equal(shown.data, "{");
			assertSuccess(await client.send("DELETE", path, { token: admin.token }));
			assertFailure(await client.send("GET", path, { token: admin.token }), "absent");
			assertSuccess(await client.send("POST", `/v1/admin/letter/${second?.letter_id}/replay`, { token: admin.token }));
			await until("it is back", async () => (await list()).some(letter => letter.letter_id !== second?.letter_id));
			const replayed = await client.send("POST", "/v1/admin/letter/replay", { token: admin.token, json: {} });
			const { letter_ids } = assertSuccess<{ letter_ids: number[] }>(replayed);
			assert.equal(letter_ids.length, 1);
			await until("it is back again", async () => (await list()).length === 1);
			const gone = {
				stream: "AUDIT",
				subject: "audit.recorded",
				seq: 1,
				time: 0,
				attempts: 1,
				headers: {},
				data: "{}"
			};
			await channels.deadLetters.bury(gone, "retired", new Error("broken"));
			const retired = `/v1/admin/letter/${(await list()).at(-1)?.letter_id}/replay`;
			assertFailure(await client.send("POST", retired, { token: admin.token }), "stale");
			for (const { letter_id } of await list())
				await client.send("DELETE", `/v1/admin/letter/${letter_id}`, { token: admin.token });

			const entries = await entriesOf(client, admin.token, `&object_type=letter&user_id=${admin.user_id}`, 6);
			assert.deepEqual(
				entries.map(({ action }) => action),
				["letter.discard", "letter.discard", "letter.replay", "letter.replayAll", "letter.replay", "letter.discard"]
			);
			assert.deepEqual(entries[3]?.details, { letters: 1, letter_ids: String(letter_ids[0]) });
		});
	});

	it("holds what a gateway of a mesh had refused by the time it was stopped", async t => {
		const { client, broker, worker } = await startSplitApp(t);
		const from = new Date().toISOString();
		for (let i = 0; i < 3; i++) assertFailure(await client.send("POST", "/v1/note", { json: {} }), "unauthorized");
		await broker.stop();
		const meta = { user: { id: 1, role: "admin", session_id: "" } };
		const { entries } = await call(worker, "audit.list", { object_type: "request", from }, { meta });
		assert.deepEqual(
			entries.map(({ action, error, details }) => [action, error, details.count]),
			[["note.create", "UNAUTHENTICATED", 3]]
		);
	});

	it("stands in the trace of the request that it records, from the gateway to the row", async t => {
		const kept = new Kept({});
		const tracing = { enabled: true, exporter: kept as never };
		const { client } = await startApp(t, {}, { tracing, middlewares: [contextMiddleware] });
		const user = await client.newUser();
		await client.newNote(user.token);
		const [entry] = await entriesOf(client, user.token, "&action=note.create");
		const inTrace = () => kept.spans.filter(span => span.traceID === entry?.request_id).map(({ name }) => name);
		await until("the consumer's span", () => inTrace().includes("channel 'audit-log'"));
		assert.ok(inTrace().includes("POST /v1/note"), inTrace().join());
		assert.ok(inTrace().includes("action 'note.create'"));
		assert.ok(inTrace().includes("INSERT audit_entries"), inTrace().join());
		assert.equal(entry?.trace_id, entry?.request_id);
	});
});
