import assert from "node:assert/strict";
import { type Agent, request } from "node:http";
import { connect } from "node:net";
import type { Note } from "../../services/note/note.contract.ts";
import { until } from "./until.ts";

/** What one request is made of. */
export interface RequestOptions {
	token?: string;
	headers?: Record<string, string>;
	/** Sent as JSON. */
	json?: unknown;
	/** Sent as a form. */
	form?: Record<string, string>;
	/** Sent as it is. */
	raw?: string | Buffer;
}

export interface Answer {
	status: number;
	headers: Record<string, string | string[] | undefined>;
	/** The body as it came. */
	text: string;
	/** The body as JSON; fails the test where it is not. */
	readonly body: { code: number; message: string; data: never; [key: string]: unknown };
}

/** The names and tokens of a user that a test registered. */
export interface TestUser {
	username: string;
	password: string;
	user_id: number;
	token: string;
	refresh_token: string;
}

let users = 0;

/** How a client connects. */
interface ConnectionOptions {
	/** Keeps connections open; without one, each request has its own. */
	agent?: Agent;
	/** How long a request may go without a byte, in milliseconds; 0: for ever. */
	timeout?: number;
}

/** A plain HTTP client: no redirects, no retries, no added headers, any method and body. */
export class Client {
	readonly url: string;
	readonly #connection: Required<ConnectionOptions> | { agent: false; timeout: number };

	constructor(url: string, { agent, timeout = 0 }: ConnectionOptions = {}) {
		this.url = url;
		this.#connection = { agent: agent ?? false, timeout };
	}

	send(method: string, path: string, { token, headers = {}, json, form, raw }: RequestOptions = {}): Promise<Answer> {
		const body = raw ?? (json !== undefined ? JSON.stringify(json) : form && new URLSearchParams(form).toString());
		const type = json !== undefined ? "application/json" : form && "application/x-www-form-urlencoded";
		const { promise, resolve, reject } = Promise.withResolvers<Answer>();
		const { hostname, port } = new URL(this.url);
		const sent = request(
			{
				hostname,
				port,
				method,
				path,
				...this.#connection,
				headers: {
					...(type && { "Content-Type": type }),
					...(body !== undefined && { "Content-Length": Buffer.byteLength(body) }),
					...(token && { Authorization: `Bearer ${token}` }),
					...headers
				}
			},
			async response => {
				try {
					const chunks: Buffer[] = [];
					for await (const chunk of response) chunks.push(chunk as Buffer);
					const text = Buffer.concat(chunks).toString();
					resolve({
						status: response.statusCode as number,
						headers: response.headers,
						text,
						get body() {
							return JSON.parse(text);
						}
					});
				} catch (error) {
					reject(error);
				}
			}
		);
		sent.on("error", reject);
		sent.on("timeout", () => sent.destroy(new Error("No answer in time")));
		sent.end(body);
		return promise;
	}

	/** Sends bytes as they are, and perhaps the end; gives back what came until the server closed the connection. */
	sendBytes(bytes: string | Buffer, { end = false } = {}): Promise<string> {
		const { hostname, port } = new URL(this.url);
		const { promise, resolve, reject } = Promise.withResolvers<string>();
		const socket = connect(Number(port), hostname, () => (end ? socket.end(bytes) : socket.write(bytes)));
		const chunks: Buffer[] = [];
		socket.on("data", chunk => chunks.push(chunk));
		socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
		socket.on("error", reject);
		return promise;
	}

	/** Registers a user with a name of its own, logs in, and gives both away. */
	async newUser(username = `user-${process.pid}-${++users}`, password = "correct horse"): Promise<TestUser> {
		const registered = await this.send("POST", "/v1/user/register", { json: { username, password } });
		assert.equal(await this.outcomeOf(registered), "succeed", registered.text);
		const { user_id } = registered.body.data as { user_id?: number };
		const tokens = await this.login(username, password);
		return { username, password, user_id: user_id ?? (await this.#idOf(tokens.token)), ...tokens };
	}

	/** How a registration ended, which on a busy machine may be after its answer: "succeed", "taken", or another end. */
	async outcomeOf({ status, body, headers }: Answer): Promise<string> {
		if (status === 201) return "succeed";
		if (status === 409) return body.code === 10003 ? "taken" : `refused with ${body.code}`;
		assert.equal(status, 202);
		let saga = { status: "pending", reason: "" };
		await until("the registration has ended", async () => {
			saga = (await this.send("GET", String(headers.location))).body.data as typeof saga;
			return saga.status !== "pending";
		});
		return saga.reason === "USERNAME_TAKEN" ? "taken" : saga.status;
	}

	async #idOf(token: string): Promise<number> {
		const me = await this.send("GET", "/v1/user/me", { token });
		return (me.body.data as TestUser).user_id;
	}

	/** Logs in and gives the tokens. */
	async login(username: string, password: string): Promise<Pick<TestUser, "token" | "refresh_token">> {
		const login = await this.send("POST", "/v1/user/login", { json: { username, password } });
		assert.equal(login.status, 200, login.text);
		const { token, refresh_token } = login.body as unknown as TestUser;
		return { token, refresh_token };
	}

	/** Writes a note and gives it. */
	async newNote(token: string, title = "A title", content = "Some content"): Promise<Note> {
		const created = await this.send("POST", "/v1/note", { token, json: { title, content } });
		assert.equal(created.status, 201, created.text);
		return created.body.data;
	}
}
