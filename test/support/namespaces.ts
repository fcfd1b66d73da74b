import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { findCommand } from "../../scripts/servers/find-command.ts";

const run = promisify(execFile);

/** Addresses of this machine as a namespace sees it: one a server, so that each can be cut off alone. */
export interface Addresses {
	nats: string;
	etcd: string;
	database: string;
}

/**
 * For suites that need network namespaces: skipped with a reason where `ip` or the right to use it is missing.
 *
 * @throws Error when it is missing although `CI` is "true"
 */
export function requireNamespaces(): { skip: string | false } {
	const reason = whyNot();
	if (reason && process.env.CI === "true") throw new Error(reason);
	return { skip: reason };
}

function whyNot(): string | false {
	if (process.platform !== "linux") return "needs Linux network namespaces";
	if (!findCommand("ip")) return "needs the command ip (Debian package iproute2)";
	const probe = `probe${process.pid}`;
	try {
		execFileSync("ip", ["netns", "add", probe], { stdio: "ignore" });
		execFileSync("ip", ["netns", "delete", probe], { stdio: "ignore" });
		return false;
	} catch {
		return "needs the right to create network namespaces (root)";
	}
}

/** A network namespace with a wire to this machine. */
export class Namespace {
	readonly name = `notemesh${process.pid}`;
	readonly addresses: Addresses;
	readonly #own: string;

	private constructor() {
		// 198.18.0.0/15 is for tests (RFC 2544): nothing real is there.
		const net = `198.18.${process.pid % 256}`;
		this.addresses = { nats: `${net}.1`, etcd: `${net}.2`, database: `${net}.3` };
		this.#own = `${net}.4`;
	}

	static async create(): Promise<Namespace> {
		const namespace = new Namespace();
		const { name, addresses } = namespace;
		const [outside, inside] = [`nm${process.pid}o`, `nm${process.pid}i`];
		await run("ip", ["netns", "add", name]);
		await run("ip", ["link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name]);
		for (const address of Object.values(addresses)) {
			await run("ip", ["address", "add", `${address}/24`, "dev", outside]);
		}
		await run("ip", ["link", "set", outside, "up"]);
		await namespace.#ip("address", "add", `${namespace.#own}/24`, "dev", inside);
		await namespace.#ip("link", "set", inside, "up");
		await namespace.#ip("link", "set", "lo", "up");
		return namespace;
	}

	/** Command line that runs a command inside. */
	command(command: string, ...args: string[]): { command: string; args: string[] } {
		return { command: "ip", args: ["netns", "exec", this.name, command, ...args] };
	}

	/** Lets everything that is sent to an address vanish, as a cut wire would. */
	async cut(address: string): Promise<void> {
		await this.#ip("route", "add", "blackhole", address);
	}

	/** Ends `cut`. */
	async mend(address: string): Promise<void> {
		await this.#ip("route", "delete", "blackhole", address);
	}

	async delete(): Promise<void> {
		await run("ip", ["netns", "delete", this.name]);
	}

	async #ip(...args: string[]): Promise<void> {
		await run("ip", ["-netns", this.name, ...args]);
	}
}
