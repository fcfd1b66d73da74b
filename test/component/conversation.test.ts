import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startApp, startSplitApp, useEnvironment } from "../support/app.ts";
import { conversation } from "../support/conversation.ts";

useEnvironment();

describe("The recorded conversation", () => {
	it("is the same whether services share a process or only a transporter", async t => {
		const together = await startApp(t);
		const expected = await conversation(together.client, "together");
		const apart = await startSplitApp(t);
		assert.deepEqual(await conversation(apart.client, "apart"), expected);
	});
});
