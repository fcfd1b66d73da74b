import * as letter from "../../letter/letter.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** Dead letters, for admins. */
export const letterRoutes: readonly RouteDefinition[] = [
	{
		method: "GET",
		path: "/v1/admin/letter",
		action: "letter.list",
		summary: "Dead letters: messages that a consumer has given up, oldest first",
		auth: true,
		role: "admin",
		params: letter.listLetters,
		result: letter.letterPageResult
	},
	{
		method: "GET",
		path: "/v1/admin/letter/:letter_id",
		action: "letter.show",
		summary: "One dead letter with its message and error",
		auth: true,
		role: "admin",
		params: letter.letterById,
		result: letter.wholeLetterResult,
		errors: [404]
	},
	{
		method: "POST",
		path: "/v1/admin/letter/replay",
		action: "letter.replayAll",
		summary: "Send all dead letters to their consumers again, but for those without a valid seal",
		auth: true,
		role: "admin",
		params: letter.replayLetters,
		result: letter.replayedResult
	},
	{
		method: "POST",
		path: "/v1/admin/letter/:letter_id/replay",
		action: "letter.replay",
		summary: "Send a dead letter to its consumer again",
		auth: true,
		role: "admin",
		params: letter.letterById,
		result: letter.replayedResult,
		errors: [404, 409]
	},
	{
		method: "DELETE",
		path: "/v1/admin/letter/:letter_id",
		action: "letter.discard",
		summary: "Remove a dead letter for good",
		auth: true,
		role: "admin",
		params: letter.letterById,
		errors: [404]
	}
];
