import fc from "fast-check";
import type { ServiceBroker } from "moleculer";
import { call } from "../../lib/call.ts";
import type { Answer, Client, TestUser } from "../support/client.ts";
import { contractOf } from "./contract.ts";
import { type OpenApiDocument, type Operation, operationsOf } from "./document.ts";
import { type FuzzRequest, requestsTo } from "./requests.ts";

const PATIENCE_MS = 10_000;
/** Options of the broker: many hashes at once on a slow machine are no failure of the platform. */
export const PATIENT = { requestTimeout: PATIENCE_MS };

export interface FuzzOptions {
	/** Requests in all. */
	requests: number;
	seed: number;
	/** Makes a user an administrator, for the operations that need one. */
	promote(userId: number): Promise<unknown>;
}

/** How an operator makes a user an administrator. */
export function admin(broker: ServiceBroker): FuzzOptions["promote"] {
	return user_id => call(broker, "user.setRole", { user_id, role: "admin" });
}

/** What the requests to one operation came to. */
export interface FuzzRow {
	operation: string;
	requests: number;
	statuses: Record<number, number>;
	slowestMs: number;
	/** The smallest request that was found to break the contract, and how. */
	violation?: string;
}

/**
 * Sends generated requests to every operation of a server's OpenAPI document and compares the answers with it.
 * @returns one row an operation; the same seed generates the same requests
 */
export async function fuzz(client: Client, { requests, seed, promote }: FuzzOptions): Promise<FuzzRow[]> {
	const document = JSON.parse((await client.send("GET", "/openapi.json")).text) as OpenApiDocument;
	const operations = operationsOf(document);
	const contract = contractOf(document);
	const foreign = await newNote(client, await client.newUser());
	const numRuns = Math.ceil(requests / operations.length);

	// One after the other: each costs a password's hash.
	const worlds: World[] = [];
	for (const operation of operations) {
		const isForbidden = operation.responses[403] !== undefined;
		worlds.push(await newWorld(client, foreign, isForbidden ? promote : undefined));
	}

	return Promise.all(
		operations.map(async (operation, index) => {
			const world = worlds[index] as World;
			const row: FuzzRow = { operation: operation.operationId, requests: 0, statuses: {}, slowestMs: 0 };
			const details = await fc.check(
				fc.asyncProperty(requestsTo(operation), async request => {
					const { method, answer, milliseconds } = await world.send(operation, request);
					row.requests++;
					row.statuses[answer.status] = (row.statuses[answer.status] ?? 0) + 1;
					row.slowestMs = Math.max(row.slowestMs, Math.round(milliseconds));
					const breaches = contract.breaches(operation, method, answer);
					if (breaches.length > 0) throw new Error(breaches.join("; "));
				}),
				// A seed of its own, else all operations would be sent the same texts.
				{ numRuns, seed: seed + index }
			);
			if (details.failed) {
				const [request] = details.counterexample ?? [];
				row.violation = `${String(details.errorInstance)} by ${fc.stringify(request).slice(0, 2000)}`;
			}
			return row;
		})
	);
}

interface World {
	send(operation: Operation, request: FuzzRequest): Promise<{ method: string; answer: Answer; milliseconds: number }>;
}

/** A user with notes: what the words in generated requests stand for. @param foreign id of somebody else's note */
async function newWorld(client: Client, foreign: string, promote?: FuzzOptions["promote"]): Promise<World> {
	let user = await client.newUser();
	if (promote) {
		await promote(user.user_id);
		const { username, password } = user;
		const login = await client.send("POST", "/v1/user/login", { json: { username, password } });
		user = { ...user, token: String(login.body.token), refresh_token: String(login.body.refresh_token) };
	}
	let own = await newNote(client, user);
	const deleted = await newNote(client, user);
	await client.send("DELETE", `/v1/note/${deleted}`, { token: user.token });

	const pathOf = (operation: Operation, { path, query, rawQuery }: FuzzRequest) => {
		const notes = new Map(Object.entries({ "{own}": own, "{foreign}": foreign, "{deleted}": deleted }));
		const filled = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
			const text = path[name] ?? "";
			return percentEncoded(notes.get(text) ?? text);
		});
		const search = rawQuery ?? query.map(pair => pair.map(percentEncoded).join("=")).join("&");
		return search ? `${filled}?${search}` : filled;
	};

	/** Replaces what a request has used up. */
	const renew = async (operationId: string, { body }: Answer) => {
		if (operationId === "note.remove") own = await newNote(client, user);
		if (operationId === "user.refresh") user.refresh_token = String(body.refresh_token);
		if (operationId === "user.logout" || operationId === "user.changePassword") {
			user = await client.newUser();
			own = await newNote(client, user);
		}
	};

	return {
		async send(operation, request) {
			const method = request.method ?? operation.method;
			const { headers, body } = wire(request, user);
			const sent = performance.now();
			const answer = await inTime(
				client.send(method, pathOf(operation, request), {
					headers: { ...headers, ...identification(request.identity, user), ...request.headers },
					...(body && { raw: body })
				})
			);
			const milliseconds = performance.now() - sent;
			if (answer.status < 300 && method === operation.method) await renew(operation.operationId, answer);
			return { method, answer, milliseconds };
		}
	};
}

function wire({ body }: FuzzRequest, user: TestUser): { headers: Record<string, string>; body?: Buffer } {
	switch (body.kind) {
		case "none":
			return { headers: {} };
		case "json": {
			const bytes = Buffer.from(JSON.stringify(body.value, (_, value) => filled(value, user)));
			return { headers: { "Content-Type": "application/json" }, body: bytes };
		}
		case "form": {
			const fields = body.fields.map(([name, value]): [string, string] => [name, String(filled(value, user))]);
			const bytes = Buffer.from(new URLSearchParams(fields).toString());
			return { headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: bytes };
		}
		case "raw":
			return { headers: body.type ? { "Content-Type": body.type } : {}, body: body.bytes };
	}
}

function identification(identity: FuzzRequest["identity"], { token }: TestUser): Record<string, string> {
	switch (identity) {
		case "own":
			return { Authorization: `Bearer ${token}` };
		case "cookie":
			return { Cookie: `jwt=${token}` };
		case "garbage":
			return { Authorization: "Bearer garbage" };
		case "forged":
			return { Authorization: `Bearer ${token.slice(0, -2)}AA` };
		case "none":
			return {};
	}
}

async function newNote(client: Client, { token }: TestUser): Promise<string> {
	const { body } = await client.send("POST", "/v1/note", {
		token,
		json: { title: "A note", content: "of the fuzzer's" }
	});
	return String((body.data as { note_id: number }).note_id);
}

/** What a word of a generated request stands for. */
function filled(value: unknown, { username, password, refresh_token }: TestUser): unknown {
	const known: Record<string, string> = {
		"{username}": username,
		"{password}": password,
		"{refresh_token}": refresh_token
	};
	return typeof value === "string" && Object.hasOwn(known, value) ? known[value] : value;
}

async function inTime<T>(promise: Promise<T>): Promise<T> {
	const late = new AbortController();
	const timeout = new Promise<never>((_, reject) => {
		const timer = setTimeout(() => reject(new Error(`No answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
		late.signal.addEventListener("abort", () => clearTimeout(timer));
	});
	return Promise.race([promise, timeout]).finally(() => late.abort());
}

/** Like `encodeURIComponent`, but takes lone surrogates, which then are no UTF-8. */
function percentEncoded(text: string): string {
	return [...text].map(char => (char.isWellFormed() ? encodeURIComponent(char) : "%ED%A0%80")).join("");
}
