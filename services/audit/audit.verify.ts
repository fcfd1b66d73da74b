import type { AuditVerdict, VerifyAudit } from "./audit.contract.ts";
import { type ChainHead, ended, GENESIS, walked } from "./audit.domain.ts";
import type { AuditStore } from "./audit.store.ts";

const BATCH = 1_000;

type Store = Pick<AuditStore, "chain" | "firstMissing" | "heads" | "last" | "sources">;

/** Walks the chains of all sources, or of one. */
export async function verdictsOf(store: Store, { source, anchor }: VerifyAudit): Promise<AuditVerdict[]> {
	// Asked for before the heads: what is there by now has one.
	const headless = new Set(await store.sources());
	// Where there is an anchor, there was a chain.
	if (anchor && source !== undefined) headless.add(source);
	const heads = await store.heads();
	for (const head of heads) headless.delete(head.source);
	for (const name of headless) heads.push({ source: name, ...GENESIS });

	const verdicts: AuditVerdict[] = [];
	for (const head of heads)
		if (source === undefined || head.source === source) verdicts.push(await verdictOf(store, head, anchor));
	return verdicts;
}

/**
 * Walks the chain of one source from its beginning.
 * @param recorded the end of the chain as the log knows it
 * @param anchor an end that somebody kept elsewhere; the chain must still go through it
 */
export async function verdictOf(
	store: Store,
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
	return verdict(ended(head, recorded, await store.firstMissing(source)) ?? (await added(store, source)));
}

/** An entry beyond its chain's end, which nobody appended: an entry and its place in the head come in one transaction. */
async function added(store: Store, source: string): Promise<AuditVerdict["broken"]> {
	const last = await store.last(source);
	const head = (await store.heads()).find(one => one.source === source) ?? GENESIS;
	if (!last || last.position <= head.position) return null;
	return { problem: "added", position: last.position, sequence: last.sequence, entry_id: last.id };
}
