import { errorTable } from "../../lib/errors.ts";
import { type Infer, id, text } from "../../lib/schema.ts";
import type { SagaActions } from "../../mixins/saga/schemas.ts";

const username = text({ minChars: 1, maxChars: 128, trim: true });
const newPassword = text({ minChars: 6, maxChars: 128, control: "accept" });
// What is only compared with something stored needs bounds, not the rules for something new.
const password = text({ minChars: 1, maxChars: 128, control: "accept" });
const refreshToken = text({ minChars: 1, maxChars: 128 });

export const credentials = { $$strict: true, username, password } as const;
export const registerUser = { $$strict: true, username, password: newPassword } as const;
/** What the registration's saga stores, and what its branches are called with. */
export const registrationOfUser = {
	$$strict: true,
	username,
	password_hash: text({ minChars: 1, maxChars: 255 })
} as const;
/** What the branches get once there is a user. */
export const reservedUser = { $$strict: true, user_id: id, username } as const;
export const refreshSession = { $$strict: true, refresh_token: refreshToken } as const;
export const changePassword = { $$strict: true, old_password: password, new_password: newPassword } as const;
export const userByName = { $$strict: true, username } as const;
export const manyUsers = {
	$$strict: true,
	user_ids: { type: "array", items: id, min: 1, max: 1000 }
} as const;
export const setRole = {
	$$strict: true,
	user_id: id,
	role: { type: "enum", values: ["user", "admin"] }
} as const;
/** How many ids `user.revokedSessions` answers: 250 KB, and NATS takes 1 MB. */
export const MOST_REVOKED = 10_000;
export const revokedSince = {
	$$strict: true,
	seconds: { type: "number", integer: true, min: 1 },
	after: text({ minChars: 1, maxChars: 64, optional: true })
} as const;

export const userResult = {
	user_id: id,
	username: { type: "string" },
	avatar: { type: "string" }
} as const;
export const registeredResult = { user_id: id } as const;
/** A registration that takes longer than a request may: where it stands is told under `/v1/saga/:gid`. */
export const pendingResult = { gid: { type: "string" }, status: { type: "enum", values: ["pending"] } } as const;
export const tokensResult = {
	user_id: id,
	token: { type: "string" },
	expire: { type: "string" },
	refresh_token: { type: "string" }
} as const;

export type Credentials = Infer<typeof credentials>;
export type RegisterUser = Infer<typeof registerUser>;
export type Registration = Infer<typeof registrationOfUser>;
export type ReservedUser = Infer<typeof reservedUser>;
export type Registered = Infer<typeof registeredResult>;
export type PendingRegistration = Infer<typeof pendingResult>;
export type RefreshSession = Infer<typeof refreshSession>;
export type ChangePassword = Infer<typeof changePassword>;
export type UserByName = Infer<typeof userByName>;
export type ManyUsers = Infer<typeof manyUsers>;
export type SetRole = Infer<typeof setRole>;
export type RevokedSince = Infer<typeof revokedSince>;
/** A user as others may see it. */
export type User = Infer<typeof userResult>;
/** A fresh pair of tokens; `expire` is the access token's end (RFC 3339). */
export type Tokens = Infer<typeof tokensResult>;

export const userError = errorTable({
	USERNAME_TAKEN: [409, "User already exists"],
	REGISTRATION_FAILED: [409, "The registration was taken back"],
	IDEMPOTENCY_KEY_REUSED: [422, "This Idempotency-Key was used with other parameters"],
	WRONG_CREDENTIALS: [401, "Authorization failed"],
	REFRESH_REFUSED: [401, "Authorization failed"],
	USER_NOT_FOUND: [404, "User not found"]
});

declare module "../../lib/call.ts" {
	/** With the sagas that this service owns; see mixins/saga. */
	interface Actions extends SagaActions<"user"> {
		"user.register": { params: RegisterUser; result: Registered | PendingRegistration };
		/** The registration's branches: a PENDING user that nobody sees, an ACTIVE one, and the ways back. */
		"user.reserve": { params: Registration; result: Registered };
		"user.release": { params: Registration; result: undefined };
		"user.activate": { params: ReservedUser; result: undefined };
		"user.deactivate": { params: ReservedUser; result: undefined };
		"user.check": { params: Credentials; result: { user_id: number } };
		"user.login": { params: Credentials; result: Tokens };
		"user.refresh": { params: RefreshSession; result: Tokens };
		"user.logout": { params: undefined; result: null };
		"user.me": { params: undefined; result: User };
		"user.changePassword": { params: ChangePassword; result: null };
		/** Gives or takes the admin role; for operators at the REPL, no route leads here. Ends every login of the user. */
		"user.setRole": { params: SetRole; result: null };
		/** The user of a name, however it is written; null where nobody is called so. For operators at the REPL. */
		"user.byName": { params: UserByName; result: User | null };
		"user.mget": { params: ManyUsers; result: User[] };
		/**
		 * Sessions that were revoked within the last `seconds`: what an api node must refuse although a token is valid. In the
		 * order of their ids, `MOST_REVOKED` at most: there are more `after` the last of so many.
		 */
		"user.revokedSessions": { params: RevokedSince; result: string[] };
		/** Resolves when the service can reach its database. */
		"user.ready": { params: undefined; result: true };
	}
	interface Events {
		"user.sessionsRevoked": { session_ids: string[] };
	}
}
