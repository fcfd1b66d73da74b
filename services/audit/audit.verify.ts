import type { AuditVerdict, VerifyAudit } from "./audit.contract.ts";
import { type ChainHead, ended, GENESIS, walked } from "./audit.domain.ts";
import type { AuditStore } from "./audit.store.ts";

const BATCH = 1_000;

/**
 * Walks the chain of one source from its beginning.
 * @param recorded the end of the chain as the log knows it
 * @param anchor an end that somebody kept elsewhere; the chain must still go through it
 */
export async function verdictOf(
	store: Pick<AuditStore, "chain" | "firstMissing">,
	recorded: ChainHead & { source: string },
	anchor?: VerifyAudit["anchor"]
): Promise<AuditVerdict> {
	const { source } = recorded;
	let head = GENESIS;
	const verdict = (broken: AuditVerdict["broken"]): AuditVerdict => ({
		source,
		entries: head.position,
		position: head.position,
		hash: head.hash,
		broken
	});
	for (;;) {
		// What was appended after the walk began is for the next walk.
		const entries = (await store.chain(source, head.position + 1, BATCH)).filter(
			({ position }) => position <= recorded.position
		);
		for (const entry of entries) {
			const step = walked(head, entry);
			if ("broken" in step) return verdict(step.broken);
			head = step.head;
			if (anchor?.position === head.position && anchor.hash !== head.hash)
				return verdict({ problem: "changed", position: head.position, sequence: entry.sequence, entry_id: entry.id });
		}
		if (entries.length < BATCH) break;
	}
	if (anchor && anchor.position > head.position)
		return verdict({ problem: "removed", position: head.position + 1, sequence: null, entry_id: null });
	return verdict(ended(head, recorded, await store.firstMissing(source)));
}
