import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NEW_NOTE, writeTokens } from "../compare/data.ts";
import { measure } from "../compare/load.ts";
import { sendAtRate } from "../compare/open-loop.ts";
import { startServers, systems } from "../compare/systems.ts";

/** What is served of twice the load that can be served. */
export interface SharedResult {
	system: string;
	asked: string;
	/** Requests a second that 32 connections get answered, who each wait for their answer. */
	capacity: number;
	"sent/s": number;
	"good/s": number;
	goodput: number;
	/** At half of the capacity right after it, in milliseconds. */
	"p50 after": number;
	"p99 after": number;
}

const CONNECTIONS = 32;
const TIMES = 2;

/**
 * One process and a mesh on MariaDB, with the loader, on the cores of this machine together: a database that is slower
 * under load fills the services' bulkheads, which an event loop that waits for it does not show.
 */
export async function overloadOnMariadb(seconds: number): Promise<SharedResult[]> {
	const folder = mkdtempSync(join(tmpdir(), "notemesh-overload-"));
	const names = ["one", "mesh"];
	const servers = await startServers(names);
	try {
		const tokens = await writeTokens(folder);
		const results: SharedResult[] = [];
		for (const name of names) {
			const start = systems[name] as NonNullable<(typeof systems)[string]>;
			const { url, processes, settled } = await start({ servers, folder, nodeArgs: () => [] });
			const kinds = {
				GET: { url: `${url}/v1/note/query`, tokens: tokens.readers },
				POST: { url: `${url}/v1/note`, tokens: tokens.writers, body: NEW_NOTE }
			};
			for (const [asked, request] of Object.entries(kinds)) {
				// The first time warms up.
				await measure({ ...request, connections: CONNECTIONS, seconds: 2 }, processes);
				const { rate: capacity } = await measure({ ...request, connections: CONNECTIONS, seconds }, processes);
				await settled();
				const rate = TIMES * capacity;
				const { failed, sent } = await sendAtRate({ ...request, rate, seconds });
				const after = await sendAtRate({ ...request, rate: capacity / 2, seconds: 2 });
				await settled();
				const goodput = Number((((sent - failed) / sent) * TIMES).toFixed(2));
				results.push({
					system: name,
					asked,
					capacity,
					"sent/s": rate,
					"good/s": Math.round(goodput * capacity),
					goodput,
					"p50 after": after.p50,
					"p99 after": after.p99
				});
			}
			await Promise.all(processes.map(process => process.stop()));
		}
		return results;
	} finally {
		await servers.stop();
		rmSync(folder, { recursive: true, force: true });
	}
}
