import type { Context, ServiceSchema, ServiceSettingSchema } from "moleculer";
import type { Transaction } from "sequelize";
import type { AccessTokens } from "../../lib/tokens.ts";
import type { DbMethods } from "../../mixins/db.mixin.ts";
import type { EventsMethods } from "../../mixins/events.mixin.ts";
import type { ParticipantMethods } from "../../mixins/saga/participant.mixin.ts";
import type { SagaMethods } from "../../mixins/saga/saga.mixin.ts";
import type { PasswordCheck } from "./user.passwords.ts";
import type { RegistrationIds } from "./user.registration.ts";
import type { EndedSession, SessionStore, SessionTable } from "./user.sessions.ts";
import type { UserStore, UserTable } from "./user.store.ts";

/** What the parts of the user service find on `this` besides the mixins' own. */
export interface UserMethods
	extends DbMethods<{ user: UserTable; session: SessionTable }>,
		EventsMethods,
		SagaMethods,
		ParticipantMethods {
	hashOfNewPassword(field: string, password: string): Promise<string>;
	changeAndEndSessions(
		ctx: Context,
		userId: number,
		change: (transaction: Transaction) => Promise<void>
	): Promise<void>;
	announceEnd(ctx: Context, ended: readonly EndedSession[]): Promise<void>;
}

/** What they keep, from `started` on. */
export interface UserVars {
	users: UserStore;
	sessions: SessionStore;
	accessTokens: AccessTokens;
	passwordMatches: PasswordCheck;
	registrationId: RegistrationIds;
}

/**
 * A part of the user service: some of its actions and methods, which know `this` as the whole.
 * @returns what it is given; for the compiler, a mixin
 */
export function userPart<Methods extends object = object>(
	part: Partial<ServiceSchema<ServiceSettingSchema, UserMethods & Methods, UserVars>>
): Partial<ServiceSchema> {
	return part as Partial<ServiceSchema>;
}
