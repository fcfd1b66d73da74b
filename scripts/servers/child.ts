import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { findCommand } from "./find-command.ts";
import { forget, killAtExit } from "./leftovers.ts";

/** How a process ended: its exit code or the signal that killed it, or the error that kept it from starting. */
export interface ChildExit {
	code: number | null;
	signal: NodeJS.Signals | null;
	error?: Error;
}

export interface ChildOptions {
	cwd?: string;
	env?: NodeJS.ProcessEnv;
	stdio: StdioOptions;
}

/**
 * A child process that cannot outlive its parent. It leads its own process group, so that Ctrl-C in a terminal reaches
 * only the parent, which stops its children in order. It dies with the parent: on exit through an exit handler, and on
 * Linux also after the parent's SIGKILL (`PR_SET_PDEATHSIG`, prctl(2), set by util-linux' `setpriv`).
 *
 * A running child does not keep its parent's event loop alive; waiting for `exited` does.
 */
export class Child {
	readonly #process: ChildProcess;
	readonly #exited: Promise<ChildExit>;

	constructor(command: string, args: string[], options: ChildOptions) {
		const [file = command, ...fileArgs] = [...parentDeathPrefix(), command, ...args];
		this.#process = spawn(file, fileArgs, { ...options, detached: true });
		this.#exited = new Promise<ChildExit>(resolve => {
			this.#process.once("close", (code, signal) => resolve({ code, signal }));
			this.#process.once("error", error => resolve({ code: null, signal: null, error }));
		}).finally(() => forget(this));

		for (const handle of this.#handles()) handle.unref();
		killAtExit(this);
	}

	get pid(): number | undefined {
		return this.#process.pid;
	}

	get running(): boolean {
		return this.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
	}

	get stdout(): Readable | null {
		return this.#process.stdout;
	}

	get stderr(): Readable | null {
		return this.#process.stderr;
	}

	/** Settles when the process is gone and its output has been read; never rejects. */
	get exited(): Promise<ChildExit> {
		for (const handle of this.#handles()) handle.ref();
		return this.#exited;
	}

	/** Calls `listener` when the process is gone, without keeping this process alive until then. */
	onExit(listener: (exit: ChildExit) => void): void {
		this.#exited.then(listener);
	}

	/** Sends a signal to the child's process group; returns false when the child is gone. */
	signal(signal: NodeJS.Signals): boolean {
		return this.running && this.pid !== undefined && process.kill(-this.pid, signal);
	}

	killNow(): void {
		this.signal("SIGKILL");
	}

	/** Sends SIGKILL and waits until the process is gone. */
	async kill(): Promise<ChildExit> {
		this.signal("SIGKILL");
		return this.exited;
	}

	/**
	 * Sends SIGTERM (also to a paused process, which is resumed) and waits until the process is gone; after `patience`
	 * milliseconds it is killed.
	 */
	async stop(patience = 15_000): Promise<ChildExit> {
		this.signal("SIGTERM");
		this.signal("SIGCONT");

		const settled = new AbortController();
		const outOfPatience = delay(patience, undefined, { signal: settled.signal }).then(
			() => this.killNow(),
			() => {}
		);
		const exit = await this.exited;
		settled.abort();
		await outOfPatience;
		return exit;
	}

	#handles(): (ChildProcess | Socket)[] {
		const pipes = [this.#process.stdout, this.#process.stderr].filter(stream => stream instanceof Socket);
		return [this.#process, ...pipes];
	}
}

let prefix: string[] | undefined;

function parentDeathPrefix(): string[] {
	prefix ??= findParentDeathPrefix();
	return prefix;
}

// Empty where setpriv is missing (macOS) or does not know the option (BusyBox).
function findParentDeathPrefix(): string[] {
	const setpriv = findCommand("setpriv");
	if (!setpriv) return [];
	const options = ["--pdeathsig", "KILL"];
	return spawnSync(setpriv, [...options, "--help"]).status === 0 ? [setpriv, ...options] : [];
}
