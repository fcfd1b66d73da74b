import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openapi } from "../../services/api/openapi.ts";
import type { RouteDefinition } from "../../services/api/route.ts";
import { routes } from "../../services/api/routes.ts";

type Operations = Record<string, Record<string, { responses: object }>>;

function answersOf(table: readonly RouteDefinition[], method: string, path: string): string[] {
	const operations = openapi(table, "1.0.0", 6).paths as Operations;
	return Object.keys(operations[path]?.[method]?.responses ?? {});
}

describe("The OpenAPI document", () => {
	it("has the refusals that a route names, and no others of these", () => {
		const route: RouteDefinition = {
			method: "GET",
			path: "/v1/thing/:note_id",
			action: "note.get",
			summary: "A thing",
			auth: false
		};
		const refusals = ["401", "403", "404", "409"];
		const answered = (table: readonly RouteDefinition[]) =>
			answersOf(table, "get", "/v1/thing/{note_id}").filter(code => refusals.includes(code));
		assert.deepEqual(answered([route]), []);
		assert.deepEqual(answered([{ ...route, errors: [401, 403, 404, 409] }]), refusals);
		assert.deepEqual(answered([{ ...route, auth: true, role: "admin" }]), ["401", "403"]);
	});

	it("says that the user of a token may not be there any more, and that replaying all letters meets no conflict", () => {
		assert.ok(answersOf(routes, "get", "/v1/user/me").includes("404"));
		assert.ok(!answersOf(routes, "post", "/v1/admin/letter/replay").includes("409"));
	});
});
