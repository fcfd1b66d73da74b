import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { findCommand } from "../../scripts/servers/find-command.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";

const run = promisify(execFile);
const PATIENCE_MS = 60_000;

/** A page as a real browser has built it. */
export interface Page {
	/** The document after scripts have run. */
	html: string;
	/** What stands in the console: errors of scripts, and what the content security policy has blocked. */
	console: string[];
}

/** Opens a page in a headless Chromium that can reach this machine only. */
export async function openPage(url: string): Promise<Page> {
	const chromium = findCommand("chromium") as string;
	const { stdout, stderr } = await run(
		chromium,
		[
			...[
				"--headless",
				"--disable-gpu",
				"--no-first-run",
				`--user-data-dir=${join(temporaryFolder("browser"), "profile")}`
			],
			// Chromium has no sandbox for root.
			...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
			...["--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
			...["--enable-logging=stderr", "--virtual-time-budget=10000", "--window-size=1200,1400"],
			...["--dump-dom", url]
		],
		{ maxBuffer: 64 * 1024 * 1024, timeout: PATIENCE_MS, killSignal: "SIGKILL" }
	);
	return { html: stdout, console: stderr.split("\n").filter(line => line.includes(":CONSOLE")) };
}
