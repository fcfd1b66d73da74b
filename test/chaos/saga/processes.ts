import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import { type NodeProcess, spawnNode } from "../../../scripts/node-process.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import type { ChildOptions } from "./child.ts";

type Role = ChildOptions["role"];

/** A process of the matrix. */
export interface Victim {
	name: string;
	process: NodeProcess;
}

/** The processes of a matrix: those that live on, and victims, some of which are always being started ahead. */
export class Processes {
	readonly #broker: ServiceBroker;
	readonly #options: Pick<ChildOptions, "nats" | "urls" | "mutation">;
	readonly #all: NodeProcess[] = [];
	readonly #spare: Record<Role, Promise<Victim>[]> = { coordinator: [], participant: [] };
	/** What Node has compiled once: most of a child's start is compiling what the others have compiled. */
	readonly #compiled = join(temporaryFolder("compiled"), "cache");
	#victims = 0;

	constructor(broker: ServiceBroker, options: Pick<ChildOptions, "nats" | "urls" | "mutation">) {
		this.#broker = broker;
		this.#options = options;
	}

	/** Starts a process that is there for all cells. */
	async start(role: Role, name: string): Promise<void> {
		await this.#spawn(role, name, false);
	}

	/** Begins to start a victim. */
	order(role: Role): void {
		this.#spare[role].push(this.#newVictim(role));
	}

	/** A victim that was ordered, or a new one. */
	victim(role: Role): Promise<Victim> {
		return this.#spare[role].shift() ?? this.#newVictim(role);
	}

	async stop(): Promise<void> {
		await Promise.all([...this.#spare.coordinator, ...this.#spare.participant]);
		await Promise.all(this.#all.map(child => child.kill()));
	}

	#newVictim(role: Role): Promise<Victim> {
		return this.#spawn(role, `victim${++this.#victims}`, true);
	}

	async #spawn(role: Role, name: string, isVictim: boolean): Promise<Victim> {
		const options: ChildOptions = { role, name, isVictim, ...this.#options };
		const env = { CHAOS: JSON.stringify(options), NODE_ENV: "test", NODE_COMPILE_CACHE: this.#compiled };
		const child = spawnNode({ args: ["test/chaos/saga/child.ts"], env });
		this.#all.push(child);
		await child.waitForLine(/^ready$/);
		if (role === "coordinator" || isVictim)
			await this.#broker.waitForServices([role === "coordinator" ? name : `${name}.user`]);
		return { name, process: child };
	}
}
