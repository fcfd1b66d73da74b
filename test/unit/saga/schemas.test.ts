import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { Validators } from "moleculer";
import { sagaParams } from "../../../mixins/saga/schemas.ts";

type Check = (params: object) => true | { field: string }[];

/** The fields of parameters that break a rule. */
function broken(schema: object, params: object): string[] {
	const check = new Validators.Fastest().compile(schema as never) as unknown as Check;
	const result = check(params);
	return result === true ? [] : [...new Set(result.map(({ field }) => field))];
}

describe("An operator's words about a saga", () => {
	const accepted = ["because", "a 🐱, für ʻokina", "x".repeat(64)];
	const refused = ["", "a\0b", "a\nb", "a\u001bb", "a\u0085b", "a\ud800b", "\udc00", "x".repeat(501)];
	const actions = ["retry", "skip", "fail"] as const;
	for (const action of actions)
		it(`of ${action} are kept as they are, or refused`, () => {
			const params = { gid: "1", reason: "because", ...(action === "skip" && { step: "one" }) };
			for (const reason of accepted) assert.deepEqual(broken(sagaParams[action], { ...params, reason }), [], reason);
			for (const reason of refused)
				assert.deepEqual(broken(sagaParams[action], { ...params, reason }), ["reason"], inspect(reason));
		});

	it("name a saga and a step that can be ones", () => {
		const params = { gid: "1", step: "one", reason: "because" };
		for (const field of ["gid", "step"]) {
			for (const name of ["a.B:c-d_1", "x".repeat(64)])
				assert.deepEqual(broken(sagaParams.skip, { ...params, [field]: name }), [], name);
			for (const name of [...refused, "x".repeat(65), "a b", "für", "🐱"])
				assert.deepEqual(broken(sagaParams.skip, { ...params, [field]: name }), [field], inspect(name));
		}
	});
});
