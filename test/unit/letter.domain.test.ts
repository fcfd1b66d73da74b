import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replayedDetails } from "../../services/letter/letter.domain.ts";

describe("replayedDetails()", () => {
	it("counts all, and names the first hundred only: a record of the audit log stays short", () => {
		const letter_ids = Array.from({ length: 1_000 }, (_, i) => i + 1);
		const { letters, letter_ids: recorded } = replayedDetails({ letter_ids });
		assert.equal(letters, 1_000);
		assert.deepEqual(recorded.split(",").map(Number), letter_ids.slice(0, 100));
	});
});
