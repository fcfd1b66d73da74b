import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ServiceSchema } from "moleculer";
import { AuditMixin } from "../../mixins/audit.mixin.ts";
import { IdempotencyMixin } from "../../mixins/idempotency.mixin.ts";
import { InboxMixin } from "../../mixins/inbox.mixin.ts";
import { OutboxMixin } from "../../mixins/outbox.mixin.ts";
import { ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { SagaMixin } from "../../mixins/saga/saga.mixin.ts";
import { brokerFor } from "../support/log.ts";
import { FakeStream } from "../support/outbox.ts";

describe("A service whose mixin lacks the one that it needs does not start, and says so", () => {
	const cases: [mixin: Partial<ServiceSchema>, says: string][] = [
		[OutboxMixin({ publisher: () => new FakeStream() }), before("outbox", "DB")],
		[InboxMixin(), before("inbox", "DB")],
		[IdempotencyMixin({ keyOf: () => undefined }), before("idempotency", "DB")],
		[AuditMixin({ stream: "AUDIT", subject: "audit.recorded" }), before("audit", "outbox")],
		[SagaMixin({ definitions: [] }), "SagaMixin needs 'db' and 'transaction', as the DB mixin gives them"],
		[ParticipantMixin(), "ParticipantMixin needs 'db' and 'transaction', as the DB mixin gives them"]
	];
	for (const [mixin, says] of cases)
		it(says, async t => {
			const broker = brokerFor(t);
			broker.createService({ name: "thing", mixins: [mixin] });
			await assert.rejects(broker.start(), { message: `Service 'thing': ${says}` });
		});
});

function before(mixin: string, needed: string): string {
	return `the ${mixin} mixin stands before the ${needed} mixin in the list of mixins`;
}
