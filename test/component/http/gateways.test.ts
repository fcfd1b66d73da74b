import { after, before, describe, it } from "node:test";
import { env } from "../../../lib/env.ts";
import { signingKeys } from "../../../lib/signing-keys.ts";
import { accessTokens } from "../../../lib/tokens.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { type App, startGateway, startSplitApp, useEnvironment } from "../../support/app.ts";
import type { Client, TestUser } from "../../support/client.ts";
import { until } from "../../support/until.ts";

useEnvironment();

describe("Two gateways", () => {
	let app: App;
	let clients: Client[];
	const stops: (() => Promise<void>)[] = [];
	before(async () => {
		const suite = { after: (stop: () => Promise<void>) => void stops.push(stop) };
		app = await startSplitApp(suite);
		clients = [app.client, await startGateway(suite, app)];
	});
	after(() => Promise.all(stops.map(stop => stop())));

	const me = (client: Client, token: string) => client.send("GET", "/v1/user/me", { token });

	const ends: Record<string, (client: Client, user: TestUser) => Promise<void>> = {
		"a logout": async (client, { token }) => {
			assertSuccess(await client.send("POST", "/v1/user/logout", { token }));
		},
		"a password change": async (client, { token, password }) => {
			const json = { old_password: password, new_password: "another horse" };
			assertSuccess(await client.send("PUT", "/v1/user/password", { token, json }));
		},
		"a refresh token that is used twice": async (client, { refresh_token }) => {
			const refresh = () => client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
			assertSuccess(await refresh());
			assertFailure(await refresh(), "unauthorized");
		},
		"a new role": async (_client, { user_id }) => {
			await app.broker.call("user.setRole", { user_id, role: "admin" });
		}
	};
	for (const [what, end] of Object.entries(ends))
		for (const [i, which] of ["first", "second"].entries())
			it(`both refuse the access token at once after ${what} on the ${which}`, async () => {
				const client = clients[i] as Client;
				const user = await client.newUser();
				for (const each of clients) assertSuccess(await me(each, user.token));
				await end(client, user);
				for (const each of clients)
					await until("every gateway refuses the token", async () => (await me(each, user.token)).status === 401);
			});

	it("accept each other's tokens", async () => {
		const [first, second] = clients as [Client, Client];
		const user = await first.newUser();
		const note = await second.newNote(user.token);
		assertSuccess(await first.send("GET", `/v1/note/${note.note_id}`, { token: user.token }));
	});
});

describe("A gateway that has just started", () => {
	it("refuses the tokens of sessions that ended before, from its first request on", async t => {
		const app = await startSplitApp(t);
		const user = await app.client.newUser();
		assertSuccess(await app.client.send("POST", "/v1/user/logout", { token: user.token }));
		const second = await startGateway(t, app);
		assertFailure(await second.send("GET", "/v1/note/query", { token: user.token }), "unauthorized");
	});

	it("trusts no token as long as it can not ask which sessions ended", async t => {
		const app = await startSplitApp(t, { user: null });
		const identity = { id: 1, role: "user", session_id: "s" } as const;
		const { token } = await accessTokens(signingKeys(env())).sign(identity, 60);
		assertFailure(await app.client.send("GET", "/v1/note/query", { token }), "unavailable");
		assertFailure(await app.client.send("GET", "/v1/note/query", { token: "x" }), "unauthorized");
	});

	it("goes on with what it knows when the user service leaves later", async t => {
		const app = await startSplitApp(t);
		const [user, gone] = [await app.client.newUser(), await app.client.newUser()];
		assertSuccess(await app.client.send("POST", "/v1/user/logout", { token: gone.token }));
		await app.worker.destroyService("user");
		assertSuccess(await app.client.send("GET", "/v1/note/query", { token: user.token }));
		await until(
			"the lost revocation is learnt",
			async () => (await app.client.send("GET", "/v1/note/query", { token: gone.token })).status === 401
		);
	});
});
