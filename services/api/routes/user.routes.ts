import * as user from "../../user/user.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** Users and sessions. */
export const userRoutes: readonly RouteDefinition[] = [
	{
		method: "POST",
		path: "/v1/user/register",
		action: "user.register",
		summary: "Register a user",
		auth: false,
		params: user.registerUser,
		newPassword: "password",
		result: user.registeredResult,
		errors: [409],
		status: 201,
		location: () => "/v1/user/me",
		pending: { status: 202, result: user.pendingResult, location: data => `/v1/saga/${data.gid}` },
		idempotent: true,
		form: true,
		guarded: true,
		attempt: "key"
	},
	{
		method: "POST",
		path: "/v1/user/login",
		action: "user.login",
		summary: "Log in: an access token and a refresh token",
		auth: false,
		params: user.credentials,
		result: user.tokensResult,
		errors: [401],
		form: true,
		envelope: "tokens",
		guarded: true,
		attempt: "username"
	},
	{
		method: "POST",
		path: "/v1/user/refresh",
		action: "user.refresh",
		summary: "Exchange a refresh token for a new pair of tokens",
		auth: false,
		params: user.refreshSession,
		result: user.tokensResult,
		errors: [401],
		envelope: "tokens",
		guarded: true
	},
	{ method: "POST", path: "/v1/user/logout", action: "user.logout", summary: "End this login", auth: true },
	{
		method: "GET",
		path: "/v1/user/me",
		action: "user.me",
		summary: "The user that the token belongs to",
		auth: true,
		result: user.userResult,
		errors: [404]
	},
	{
		method: "PUT",
		path: "/v1/user/password",
		action: "user.changePassword",
		summary: "Change the password and end every login",
		auth: true,
		params: user.changePassword,
		newPassword: "new_password",
		guarded: true,
		attempt: "user"
	}
];
