import { request } from "node:http";

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

/** A plain HTTP client: no redirects, no retries, no added headers, any method and body. */
export class Client {
	readonly url: string;

	constructor(url: string) {
		this.url = url;
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
				agent: false,
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
		sent.end(body);
		return promise;
	}

	/** Registers a user with a name of its own, logs in, and gives both away. */
	async newUser(username = `user-${process.pid}-${++users}`, password = "correct horse"): Promise<TestUser> {
		const registered = await this.send("POST", "/v1/user/register", { json: { username, password } });
		const login = await this.send("POST", "/v1/user/login", { json: { username, password } });
		const { token, refresh_token } = login.body as unknown as TestUser;
		const { user_id } = registered.body.data as TestUser;
		return { username, password, user_id, token, refresh_token };
	}
}
