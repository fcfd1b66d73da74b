import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Killable {
	/** Sends SIGKILL without waiting. */
	killNow(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const processes = new Set<Killable>();
const folders = new Set<string>();
let watching = false;

/** Kills `child` when this process ends, unless it was forgotten before. */
export function killAtExit(child: Killable): void {
	watchExit();
	processes.add(child);
}

/** Undoes `killAtExit`: the child is gone. */
export function forget(child: Killable): void {
	processes.delete(child);
}

/** Creates a temporary folder that is removed when this process ends. */
export function temporaryFolder(name: string): string {
	watchExit();
	const folder = mkdtempSync(join(tmpdir(), `notemesh-${name}-`));
	folders.add(folder);
	return folder;
}

function watchExit(): void {
	if (watching) return;
	watching = true;
	process.on("exit", removeLeftovers);
	for (const signal of SIGNALS) process.on(signal, endBySignal);
}

function removeLeftovers(): void {
	for (const child of processes) child.killNow();
	for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function endBySignal(signal: NodeJS.Signals): void {
	// Another listener means an orderly stop is under way; it ends the process itself, and "exit" follows.
	if (process.listenerCount(signal) > 1) return;

	removeLeftovers();
	process.off(signal, endBySignal);
	process.kill(process.pid, signal);
}
