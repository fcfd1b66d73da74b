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
	return result === true ? [] : result.map(({ field }) => field);
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

	it("name a step that can be one", () => {
		const params = { gid: "1", reason: "because" };
		for (const step of accepted) assert.deepEqual(broken(sagaParams.skip, { ...params, step }), [], step);
		for (const step of refused) assert.deepEqual(broken(sagaParams.skip, { ...params, step }), ["step"], inspect(step));
	});
});
