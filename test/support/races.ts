import assert from "node:assert/strict";
import { assertFailure, assertSuccess } from "./answers.ts";
import type { Client } from "./client.ts";

/** Twenty ways to write one name: case, composition of accents, blanks around. */
export function spellings(name: string): string[] {
	const composed = `José ${name} Ångström`;
	const forms = [composed, composed.normalize("NFD"), composed.toUpperCase(), composed.toUpperCase().normalize("NFD")];
	return Array.from({ length: 20 }, (_, i) => `${" ".repeat(i % 3)}${forms[i % forms.length]}${"\t".repeat(i % 2)}`);
}

/** Registers all spellings of a name at once, spread over clients, and asserts that exactly one has won. */
export async function raceForName(clients: readonly Client[], name: string): Promise<void> {
	const password = (i: number) => `password ${i}`;
	const names = spellings(name);
	const answers = await Promise.all(
		names.map((username, i) =>
			(clients[i % clients.length] as Client).send("POST", "/v1/user/register", {
				json: { username, password: password(i) }
			})
		)
	);
	const [client] = clients as [Client];
	const outcomes = await Promise.all(answers.map(answer => client.outcomeOf(answer)));
	assert.deepEqual(outcomes.toSorted(), ["succeed", ...Array(names.length - 1).fill("taken")]);
	const winner = outcomes.indexOf("succeed");
	const login = (i: number) =>
		client.send("POST", "/v1/user/login", { json: { username: names[0], password: password(i % names.length) } });
	assertSuccess(await login(winner));
	assertFailure(await login(winner + 1), "unauthorized");
}
