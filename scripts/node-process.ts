import { EventEmitter } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { Child, type ChildExit } from "./servers/child.ts";

const LINE_TIMEOUT = 30_000;
const SHOWN_LINES = 30;

/** What to run with Node. */
export interface NodeOptions {
	/** Arguments of `node`: flags, the script, its arguments. */
	args: string[];
	/** The whole environment apart from PATH: nothing of the developer's shell gets in. */
	env?: Record<string, string>;
	/** Working directory; ours by default. */
	cwd?: string;
	/** A command that runs Node in its own way, e.g. `ip netns exec host`. */
	wrapper?: string[];
}

/** Starts a Node process of our own version. It is killed at the latest when this process ends, however it ends. */
export function spawnNode(options: NodeOptions): NodeProcess {
	return new NodeProcess(options);
}

/** A running Node process and what it has printed. */
export class NodeProcess {
	/** Complete lines of stdout and stderr so far, in the order of arrival. */
	readonly lines: string[] = [];
	readonly #child: Child;
	readonly #news = new EventEmitter();

	constructor({ args, env, cwd, wrapper = [] }: NodeOptions) {
		const [command = process.execPath, ...rest] = [...wrapper, process.execPath, ...args];
		this.#child = new Child(command, rest, {
			cwd,
			env: { PATH: process.env.PATH, ...env },
			stdio: ["ignore", "pipe", "pipe"]
		});
		this.#collect(this.#child.stdout);
		this.#collect(this.#child.stderr);
	}

	get pid(): number | undefined {
		return this.#child.pid;
	}

	get running(): boolean {
		return this.#child.running;
	}

	/** Everything printed so far. */
	get output(): string {
		return this.lines.join("\n");
	}

	/** Settles when the process is gone and all its output is in `lines`; never rejects. */
	get exited(): Promise<ChildExit> {
		return this.#child.exited;
	}

	/**
	 * Waits for a line, printed already or yet to come, that matches `pattern`, and returns the match.
	 *
	 * @throws Error with the last lines of output when the process ends without it or `timeout` milliseconds pass
	 */
	waitForLine(pattern: RegExp, timeout = LINE_TIMEOUT): Promise<RegExpMatchArray> {
		return new Promise((resolve, reject) => {
			const look = (line: string) => {
				const match = line.match(pattern);
				if (match) settle(() => resolve(match));
			};
			const fail = (what: string) =>
				settle(() => reject(new Error(`${what} ${pattern}:\n${this.lines.slice(-SHOWN_LINES).join("\n")}`)));
			const settle = (how: () => void) => {
				clearTimeout(timer);
				this.#news.off("line", look);
				how();
			};

			const timer = setTimeout(() => fail(`No line in ${timeout} ms matched`), timeout);
			this.#news.on("line", look);
			this.lines.forEach(look);
			this.#child.onExit(() => fail("The process ended without a line that matches"));
		});
	}

	/** Calls `listener` with every line that is printed from now on. */
	onLine(listener: (line: string) => void): void {
		this.#news.on("line", listener);
	}

	/** Sends a signal; SIGSTOP and SIGCONT pause and resume. Returns false when the process is gone. */
	signal(signal: NodeJS.Signals): boolean {
		return this.#child.signal(signal);
	}

	/** Sends a signal that ends the process, SIGKILL by default, and waits until it is gone. */
	async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<ChildExit> {
		this.#child.signal(signal);
		return this.exited;
	}

	/** Asks the process to stop (SIGTERM) and returns its exit code, null when a signal had to end it. */
	async stop(): Promise<number | null> {
		return (await this.#child.stop()).code;
	}

	/** Stops the process at the end of the scope of `await using node = spawnNode(...)`. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}

	#collect(stream: Readable | null): void {
		if (!stream) return;
		createInterface({ input: stream }).on("line", line => {
			this.lines.push(line);
			this.#news.emit("line", line);
		});
	}
}
