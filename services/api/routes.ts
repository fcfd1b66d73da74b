import type { Actions } from "../../lib/call.ts";
import type { Role } from "../../lib/identity.ts";
import { sagaParams, sagaResults } from "../../mixins/saga/schemas.ts";
import * as note from "../note/note.contract.ts";
import * as points from "../points/points.contract.ts";
import * as user from "../user/user.contract.ts";
import * as api from "./api.contract.ts";

type Schema = Readonly<Record<string, unknown>>;

/** One route of the HTTP API. The gateway, the 405 answers and the OpenAPI document are all made from this table. */
export interface RouteDefinition {
	method: "GET" | "POST" | "PUT" | "DELETE";
	path: string;
	action: keyof Actions;
	summary: string;
	/** Whether a verified access token is needed. */
	auth: boolean;
	/** Who may call it, where a token alone is not enough. */
	role?: Role;
	/** The schema that the action validates its parameters with. */
	params?: Schema;
	/** What stands in the envelope's `data`; nothing means null. */
	result?: Schema;
	/** The body of a 503 of the action's own making, where it is not the envelope. */
	unavailable?: Schema;
	/** Status of success, 200 by default. */
	status?: 201;
	/** Where a created thing is found. */
	location?: (data: Readonly<Record<string, unknown>>) => string;
	/** What is answered instead where the result's `status` is "pending". */
	pending?: { status: 202; result: Schema; location: (data: Readonly<Record<string, unknown>>) => string };
	/** Whether a header `Idempotency-Key` makes repetitions one request. */
	idempotent?: true;
	/** Whether a form body is accepted beside JSON. */
	form?: true;
	/** "none": the result is the body as it is. "tokens": the result's tokens also stand at the top level. */
	envelope?: "none" | "tokens";
	/** Whether requests count towards the stricter limit that guards passwords. */
	guarded?: true;
	/** The parameter that names whose password is tried; "user": the signed-in user's. Wrong ones are backed off from. */
	attempt?: "username" | "user";
}

export const routes: readonly RouteDefinition[] = [
	{
		method: "GET",
		path: "/ping",
		action: "api.ping",
		summary: "Answers as long as the gateway runs",
		auth: false,
		result: api.pingResult,
		envelope: "none"
	},
	{
		method: "POST",
		path: "/v1/user/register",
		action: "user.register",
		summary: "Register a user",
		auth: false,
		params: user.registerUser,
		result: user.registeredResult,
		status: 201,
		location: () => "/v1/user/me",
		pending: { status: 202, result: user.pendingResult, location: data => `/v1/saga/${data.gid}` },
		idempotent: true,
		form: true,
		guarded: true
	},
	{
		method: "POST",
		path: "/v1/user/login",
		action: "user.login",
		summary: "Log in: an access token and a refresh token",
		auth: false,
		params: user.credentials,
		result: user.tokensResult,
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
		result: user.userResult
	},
	{
		method: "PUT",
		path: "/v1/user/password",
		action: "user.changePassword",
		summary: "Change the password and end every login",
		auth: true,
		params: user.changePassword,
		guarded: true,
		attempt: "user"
	},
	{
		method: "POST",
		path: "/v1/note",
		action: "note.create",
		summary: "Write a note",
		auth: true,
		params: note.createNote,
		result: note.noteResult,
		status: 201,
		location: data => `/v1/note/${data.note_id}`
	},
	{
		method: "GET",
		path: "/v1/note/query",
		action: "note.query",
		summary: "The user's notes, newest first",
		auth: true,
		params: note.queryNotes,
		result: note.notePageResult
	},
	{
		method: "GET",
		path: "/v1/note/:note_id",
		action: "note.get",
		summary: "One note",
		auth: true,
		params: note.noteById,
		result: note.noteResult
	},
	{
		method: "PUT",
		path: "/v1/note/:note_id",
		action: "note.update",
		summary: "Change a note's title, content or both",
		auth: true,
		params: note.updateNote,
		result: note.noteResult
	},
	{
		method: "DELETE",
		path: "/v1/note/:note_id",
		action: "note.remove",
		summary: "Delete a note",
		auth: true,
		params: note.noteById
	},
	{
		method: "GET",
		path: "/v1/points",
		action: "points.balance",
		summary: "The user's points",
		auth: true,
		result: points.balanceResult
	},
	{
		method: "GET",
		path: "/v1/points/history",
		action: "points.history",
		summary: "What changed the user's points, newest first",
		auth: true,
		params: points.queryHistory,
		result: points.historyResult
	},
	{
		method: "GET",
		path: "/v1/saga/:gid",
		action: "user.saga.outcome",
		summary: "What became of a request that was answered with 202; its id is all that is needed, nobody can guess it",
		auth: false,
		params: sagaParams.get,
		result: user.sagaResult
	},
	{
		method: "GET",
		path: "/v1/admin/saga",
		action: "user.saga.list",
		summary: "Sagas, newest first",
		auth: true,
		role: "admin",
		params: sagaParams.list,
		result: sagaResults.list
	},
	{
		method: "GET",
		path: "/v1/admin/saga/:gid",
		action: "user.saga.get",
		summary: "One saga with its steps and its timeline",
		auth: true,
		role: "admin",
		params: sagaParams.get,
		result: sagaResults.get
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/retry",
		action: "user.saga.retry",
		summary: "Try a saga's waiting steps at once",
		auth: true,
		role: "admin",
		params: sagaParams.retry
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/skip",
		action: "user.saga.skip",
		summary: "Take a saga's step for done",
		auth: true,
		role: "admin",
		params: sagaParams.skip
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/fail",
		action: "user.saga.fail",
		summary: "Roll a saga back; one that is being rolled back ends as it is",
		auth: true,
		role: "admin",
		params: sagaParams.fail
	},
	{
		method: "GET",
		path: "/healthz",
		action: "api.live",
		summary: "Liveness: the process serves requests",
		auth: false,
		result: api.liveResult,
		envelope: "none"
	},
	{
		method: "GET",
		path: "/readyz",
		action: "api.ready",
		summary: "Readiness: databases, transporter and registry; 503 while draining",
		auth: false,
		result: api.readyResult,
		unavailable: api.notReadyResult,
		envelope: "none"
	},
	{
		method: "GET",
		path: "/openapi.json",
		action: "api.openapi",
		summary: "This document",
		auth: false,
		envelope: "none"
	}
];

/** The page that shows the document to people, and its files: served like the routes, but no part of the API. */
export const docsRoutes: readonly RouteDefinition[] = ["/docs", "/docs/:file"].map(path => ({
	method: "GET",
	path,
	action: "api.docs",
	summary: "The API's documentation",
	auth: false,
	params: api.docsFile,
	envelope: "none"
}));

export const allRoutes: readonly RouteDefinition[] = [...routes, ...docsRoutes];

/** The routes of a path, none for an unknown one. A path without parameters goes before one with them. */
export function routesAt(path: string): RouteDefinition[] {
	const asked = path.replace(/(.)\/$/, "$1").split("/");
	const matches = (pattern: string) => {
		const parts = pattern.split("/");
		return (
			parts.length === asked.length && parts.every((part, i) => part === asked[i] || (part.startsWith(":") && asked[i]))
		);
	};
	const exact = allRoutes.filter(route => route.path === asked.join("/"));
	return exact.length > 0 ? exact : allRoutes.filter(route => matches(route.path));
}

/** The methods that routes answer to. HEAD goes with GET. */
export function methodsOf(routes: readonly RouteDefinition[]): string[] {
	return routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}
