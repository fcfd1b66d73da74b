const BATCH = 500;

/**
 * Deletes what is over, batch after batch until one is not full: what is left to the next time would pile up under load.
 * @param prune deletes at most `limit` rows and answers how many
 * @returns how many went
 */
export async function pruneAll(prune: (limit: number) => Promise<number>): Promise<number> {
	for (let total = 0; ; ) {
		const gone = await prune(BATCH);
		total += gone;
		if (gone < BATCH) return total;
	}
}
