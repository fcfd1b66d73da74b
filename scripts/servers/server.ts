import { closeSync, mkdirSync, openSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Child, type ChildExit } from "./child.ts";
import { findCommand } from "./find-command.ts";
import { freePort, isFree } from "./free-port.ts";
import { waitUntilFrozen } from "./frozen.ts";
import { installationHint, type ServerCommand } from "./installation.ts";
import { temporaryFolder } from "./leftovers.ts";

const HOST = "127.0.0.1";
const START_TIMEOUT = 30_000;
const POLL_INTERVAL = 20;
const LOG_TAIL_LINES = 30;

/** What every `startX` function takes. */
export interface ServerOptions {
	/** TCP port on 127.0.0.1; a free one by default. */
	port?: number;
	/** Folder of the server's data and log, created if missing; by default a temporary one, removed at exit. */
	dataDir?: string;
	/** More command-line arguments; they come last, so they override ours. */
	args?: string[];
}

/** What a kind of server needs to say about itself. */
export interface ServerDefinition {
	name: string;
	/** Executable, looked up on the PATH and in the folders for daemons. */
	command: ServerCommand;
	args: string[];
	port: number;
	dataDir: string;
	url: string;
	/** Runs before each start, with the data folder in place: writes a config file, initialises a database. */
	prepare?(): Promise<void>;
	/** Resolves once the server answers in its protocol; rejects as long as it does not. */
	check(): Promise<void>;
}

/** A real server running as a local process on a loopback port. */
export class LocalServer {
	readonly host = HOST;
	readonly name: string;
	readonly port: number;
	readonly url: string;
	readonly dataDir: string;
	readonly logFile: string;
	readonly #definition: ServerDefinition;
	#child: Child | undefined;

	constructor(definition: ServerDefinition) {
		this.#definition = definition;
		this.name = definition.name;
		this.port = definition.port;
		this.url = definition.url;
		this.dataDir = definition.dataDir;
		this.logFile = join(definition.dataDir, `${definition.name}.log`);
	}

	/** The process id, undefined unless the server runs. */
	get pid(): number | undefined {
		return this.running ? this.#child?.pid : undefined;
	}

	get running(): boolean {
		return this.#child?.running ?? false;
	}

	/** Settles when the process started last is gone, however it ended; waiting for it keeps this process alive. */
	get exited(): Promise<ChildExit> {
		if (!this.#child) throw new Error(`${this.name} was never started`);
		return this.#child.exited;
	}

	/**
	 * Starts the server, or starts it again on the same port and data, and waits until it answers.
	 *
	 * @param env more environment for this time
	 * @throws Error when the server is not installed or its port is taken; with the end of the server's log when it exits
	 *   or does not answer within 30 seconds
	 */
	async start(env: Record<string, string> = {}): Promise<void> {
		if (this.running) throw new Error(`${this.name} runs already (pid ${this.pid})`);
		const command = findCommand(this.#definition.command);
		if (!command) throw new Error(`No ${this.#definition.command}: ${installationHint([this.#definition.command])}`);
		// Checked first: the server already there would answer in place of ours.
		if (!(await isFree(this.port))) throw new Error(`${this.name} cannot start: port ${this.port} is taken`);

		mkdirSync(this.dataDir, { recursive: true });
		await this.#definition.prepare?.();

		const log = openSync(this.logFile, "a");
		const child = new Child(command, this.#definition.args, {
			env: { ...process.env, ...env },
			stdio: ["ignore", log, log]
		});
		this.#child = child;
		closeSync(log);

		try {
			await this.#waitUntilReady(child);
		} catch (error) {
			await child.kill();
			throw new Error(`${(error as Error).message}\n${await this.logTail()}`, { cause: error });
		}
	}

	/** Stops the server in its orderly way (SIGTERM) and keeps its data. Does nothing when it does not run. */
	async stop(): Promise<void> {
		await this.#child?.stop();
	}

	/** Kills the server (SIGKILL), as a crash would, and waits until the process is gone. */
	async kill(): Promise<void> {
		await this.#child?.kill();
	}

	/** Freezes the server (SIGSTOP): its connections stay open and nothing answers. */
	pause(): void {
		this.#signal("SIGSTOP");
		if (this.pid) waitUntilFrozen(this.pid);
	}

	/** Ends `pause`. */
	resume(): void {
		this.#signal("SIGCONT");
	}

	/** Deletes all data of the stopped server; the next `start` begins with nothing. */
	async wipe(): Promise<void> {
		if (this.running) throw new Error(`${this.name} runs; stop it before wiping its data`);
		await rm(this.dataDir, { recursive: true, force: true });
	}

	/** The last lines of the server's log. */
	async logTail(): Promise<string> {
		const log = await readFile(this.logFile, "utf8");
		return log.trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
	}

	/** Stops the server at the end of the scope of `await using server = await startX()`. */
	[Symbol.asyncDispose](): Promise<void> {
		return this.stop();
	}

	#signal(signal: NodeJS.Signals): void {
		if (!this.#child?.signal(signal)) throw new Error(`${this.name} does not run`);
	}

	async #waitUntilReady(child: Child): Promise<void> {
		const deadline = Date.now() + START_TIMEOUT;
		for (;;) {
			try {
				await this.#definition.check();
				return;
			} catch (cause) {
				if (!child.running) {
					throw new Error(`${this.name} ended while starting: ${describeExit(await child.exited)}`, { cause });
				}
				if (Date.now() > deadline) {
					throw new Error(`${this.name} did not answer within ${START_TIMEOUT / 1000} s`, { cause });
				}
			}
			await delay(POLL_INTERVAL);
		}
	}
}

/** Fills in what the caller left open: a free port and a temporary data folder. */
export async function withDefaults(name: string, options: ServerOptions): Promise<Required<ServerOptions>> {
	return {
		port: options.port ?? (await freePort()),
		dataDir: resolve(options.dataDir ?? temporaryFolder(name)),
		args: options.args ?? []
	};
}

function describeExit({ code, signal, error }: ChildExit): string {
	return error?.message ?? (signal ? `killed by ${signal}` : `exit code ${code}`);
}
