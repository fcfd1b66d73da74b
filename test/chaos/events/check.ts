import { QueryTypes, type Sequelize } from "sequelize";

/** What the checker found. */
export interface Findings {
	facts: number;
	accounts: number;
	/** Facts without effect. */
	lost: number;
	/** Effects beyond one for a fact. */
	doubled: number;
	/** Changes that took effect after a later one of the same account. */
	reordered: number;
	/** Accounts whose sum is another one than at the source. */
	different: string[];
}

interface Sum {
	account: string;
	count: number;
	sum: number;
}

/** Compares what was written with what came of it. */
export async function check(source: Sequelize, read: Sequelize): Promise<Findings> {
	const select = <Row extends object>(db: Sequelize, sql: string) => db.query<Row>(sql, { type: QueryTypes.SELECT });
	const written = await select<Sum>(source, "SELECT account, count, sum FROM accounts");
	const added = new Map(
		(await select<Sum>(read, "SELECT account, count, sum FROM sums")).map(row => [row.account, row])
	);
	const ledger = Map.groupBy(
		await select<{ account: string; version: number }>(read, "SELECT account, version FROM ledger ORDER BY id"),
		row => row.account
	);

	const findings: Findings = { facts: 0, accounts: written.length, lost: 0, doubled: 0, reordered: 0, different: [] };
	for (const { account, count, sum } of written) {
		findings.facts += Number(count);
		const effects = added.get(account);
		const missing = Number(count) - Number(effects?.count ?? 0);
		if (missing > 0) findings.lost += missing;
		if (missing < 0) findings.doubled -= missing;
		if (Number(effects?.sum ?? 0) !== Number(sum)) findings.different.push(account);
		if (account.startsWith("poison")) continue;

		const versions = (ledger.get(account) ?? []).map(row => Number(row.version));
		const distinct = new Set(versions);
		findings.lost += Number(count) - distinct.size;
		findings.doubled += versions.length - distinct.size;
		findings.reordered += versions.filter((version, i) => i > 0 && version < (versions[i - 1] as number)).length;
	}
	return findings;
}

/** Whether it is as it has to be. */
export function isClean({ lost, doubled, reordered, different }: Findings): boolean {
	return lost === 0 && doubled === 0 && reordered === 0 && different.length === 0;
}
