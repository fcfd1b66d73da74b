import { createHash } from "node:crypto";
import { defineSaga } from "../../mixins/saga/definition.ts";
import type { RunOutcome } from "../../mixins/saga/sagas.ts";
import { type PendingRegistration, type Registered, type Registration, userError } from "./user.contract.ts";

/** What every new user gets. */
const WELCOME_POINTS = 10;

/** What the steps answer that a later one needs. */
interface Results {
	user: { user_id: number };
}

type Known = { results: Partial<Results> };
// The user's step is done before the steps that ask for the id begin.
const user_id = ({ results }: Known) => results.user?.user_id;
const who = (saga: Known) => ({ user_id: user_id(saga) });
const points = (saga: Known) => ({ user_id: user_id(saga), points: WELCOME_POINTS });

/** A user is PENDING, and nobody sees it, until the points are there. */
export const registration = defineSaga<Registration, Results>({
	name: "user.registration",
	version: 1,
	timeout: 10 * 60_000,
	secret: ["password_hash"],
	steps: [
		{ name: "user", action: "user.reserve", compensate: "user.release" },
		{ name: "points", action: "points.grant", compensate: "points.revoke", params: points },
		{ name: "activation", action: "user.activate", compensate: "user.deactivate", params: who }
	]
});

/** What a client is told about its registration. @throws USERNAME_TAKEN, REGISTRATION_FAILED where it was taken back */
export function answerOf(saga: RunOutcome<Registration, Results>): Registered | PendingRegistration {
	const { gid, status, reason, results } = saga;
	if (status === "succeed" && results.user) return { user_id: results.user.user_id };
	if (status === "pending") return { gid, status };
	throw reason?.type === "USERNAME_TAKEN" ? userError("USERNAME_TAKEN") : userError("REGISTRATION_FAILED");
}

/** The saga's id for a client's key: the same key is the same registration, and the key is not stored. */
export function gidOfKey(key: string): string {
	return `register-${createHash("sha256").update(key).digest("base64url")}`;
}
