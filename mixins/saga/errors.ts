import { Errors } from "moleculer";
import type { Reason } from "./state.ts";

const { MoleculerClientError } = Errors;

/** A participant's no: the saga is rolled back. Any 409 and any validation error (422) says the same. */
export function sagaFailure(message: string, data?: unknown): Errors.MoleculerClientError {
	return new MoleculerClientError(message, 409, "SAGA_FAILURE", data);
}

/** A participant's "not yet": it is asked again after the engine's `ongoingDelay`, as often as needed. */
export function sagaOngoing(message = "Not finished yet"): Errors.MoleculerClientError {
	return new MoleculerClientError(message, 425, "SAGA_ONGOING");
}

/** Refusals of the engine. */
export const refusals = {
	invalidGid: () =>
		new MoleculerClientError("A saga's id has 1 to 64 characters of A-Z a-z 0-9 _ . : -", 422, "SAGA_GID"),
	otherPayload: (gid: string) =>
		new MoleculerClientError("This id was used with other parameters", 422, "SAGA_OTHER_PAYLOAD", { gid }),
	notFound: () => new MoleculerClientError("No such saga", 404, "SAGA_NOT_FOUND"),
	noSuchStep: () => new MoleculerClientError("No step of that name is open", 409, "SAGA_STEP_NOT_OPEN"),
	goesBack: () =>
		new MoleculerClientError("The saga is being rolled back, and asks nobody for help", 409, "SAGA_GOES_BACK"),
	finished: () => new MoleculerClientError("The saga has finished", 409, "SAGA_FINISHED"),
	busy: () => new MoleculerClientError("Somebody else is changing the saga", 409, "SAGA_BUSY")
};

/** Somebody else has claimed the saga: what this owner knows is out of date, and it has to stop. */
export class Fenced extends Error {
	constructor(gid: string) {
		super(`Saga ${gid} belongs to another owner now`);
		this.name = "Fenced";
	}
}

/** What a branch's error means. */
export type Verdict = "failure" | "ongoing" | "retry";

/**
 * Reads a branch's error. Only a clear no is a failure: a time-out, a lost node, a full queue, a deadlock or an error
 * nobody thought of leaves open whether the branch ran, and is tried again.
 */
export function verdictOf(error: unknown): Verdict {
	const { type, code } = fieldsOf(error);
	if (type === "SAGA_ONGOING" || code === 425) return "ongoing";
	if (type === "SAGA_FAILURE" || code === 409 || code === 422) return "failure";
	return "retry";
}

/** What is stored of an error: no stack, no data, which may hold a secret. */
export function reasonOf(error: unknown, step?: string): Reason {
	const { type, name, message } = fieldsOf(error);
	return { type: type || name || "Error", message: String(message ?? error).slice(0, 500), ...(step && { step }) };
}

function fieldsOf(error: unknown): { type?: string; code?: number; name?: string; message?: string } {
	return typeof error === "object" && error !== null ? error : {};
}
