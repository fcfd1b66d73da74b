import { createHmac } from "node:crypto";
import type { NamedKey } from "../../lib/env-rules.ts";
import { fold } from "../../lib/fold.ts";
import { defineSaga } from "../../mixins/saga/definition.ts";
import type { RunOutcome } from "../../mixins/saga/sagas.ts";
import { type PendingRegistration, type Registered, type Registration, userError } from "./user.contract.ts";

/** What every new user gets. */
const WELCOME_POINTS = 10;

/** What the steps answer that a later one needs. */
interface Results {
	user: { user_id: number };
}

type Known = { payload: Registration; results: Partial<Results> };
// The user's step is done before the steps that ask for the id begin.
const user_id = ({ results }: Known) => results.user?.user_id;
const who = (saga: Known) => ({ user_id: user_id(saga), username: saga.payload.username });
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

/** The saga's id for a name and the key that a client calls its registration by. */
export type RegistrationIds = (username: string, key: string) => string;

/**
 * The same name and key are the same registration. The id is keyed with the key that signs tokens: whoever has it may
 * ask what became of the registration, so it must not follow from what a stranger knows or guesses. And a key is one
 * client's own: two that happen to use the same one for different names do not meet.
 */
export function registrationIds([current]: readonly NamedKey[]): RegistrationIds {
	if (!current) throw new Error("There is no key to derive ids of registrations with");
	return (username, key) => {
		const named = JSON.stringify(["user.registration", fold(username), key]);
		return `register-${createHmac("sha256", current.secret).update(named).digest("base64url")}`;
	};
}
