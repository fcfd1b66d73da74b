import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
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
	#running = true;

	constructor(command: string, args: string[], options: ChildOptions) {
		const [file, ...rest] = diesWithParent()
			? ["setpriv", "--pdeathsig", "KILL", command, ...args]
			: [command, ...args];
		this.#process = spawn(file as string, rest, { ...options, detached: true });
		this.#process.unref();
		killAtExit(this);

		this.#exited = new Promise<ChildExit>(resolve => {
			this.#process.once("exit", (code, signal) => resolve({ code, signal }));
			this.#process.once("error", error => resolve({ code: null, signal: null, error }));
		}).finally(() => {
			this.#running = false;
			forget(this);
		});
	}

	get pid(): number | undefined {
		return this.#process.pid;
	}

	get running(): boolean {
		return this.#running;
	}

	get stdout(): Readable | null {
		return this.#process.stdout;
	}

	get stderr(): Readable | null {
		return this.#process.stderr;
	}

	/** Settles when the process is gone; never rejects. */
	get exited(): Promise<ChildExit> {
		if (this.#running) this.#process.ref();
		return this.#exited;
	}

	/** Sends a signal to the child's process group; returns false when the child is gone. */
	signal(signal: NodeJS.Signals): boolean {
		if (!this.#running || this.pid === undefined) return false;
		return process.kill(-this.pid, signal);
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
}

let parentDeathSignal: boolean | undefined;

function diesWithParent(): boolean {
	parentDeathSignal ??= spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0;
	return parentDeathSignal;
}
