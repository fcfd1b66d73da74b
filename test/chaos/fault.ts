import { setTimeout as delay } from "node:timers/promises";
import type { Embedded } from "./embedded.ts";
import type { Mesh, NodeName, ServerName } from "./mesh.ts";
import type { Platform } from "./platform.ts";

/** One way in which things go wrong. */
export interface Fault<P extends Platform> {
	name: string;
	/** What is done, for the table. */
	what: string;
	/** How long it lasts, in seconds. */
	seconds: number;
	/** What a client may notice, for the table and for the documentation. */
	expected: string;
	/** Whether requests may fail at all. */
	failures: boolean;
	/** Whether requests may go without an answer: their gateway is the victim. */
	noAnswer?: boolean;
	/** Whether it is part of a short run. */
	quick?: true;
	/** Why it can not be tried here; false where it can. */
	whyNot?: () => string | false;
	/** Makes things ready, before clients come. */
	arrange?(platform: P): Promise<void>;
	/** @param random gives numbers from 0 to 1 that follow from the seed */
	strike(platform: P, random: () => number): Promise<void>;
	heal(platform: P): Promise<void>;
	/** Undoes `arrange`. */
	tidy?(platform: P): Promise<void>;
}

export type MeshFault = Fault<Mesh>;
export type EmbeddedFault = Fault<Embedded>;

type Deed = Pick<MeshFault, "strike" | "heal">;

/** SIGKILL of nodes; then they are started again. */
export function nodesKilled(...names: NodeName[]): Deed {
	return {
		strike: async mesh => void (await Promise.all(names.map(name => mesh.killNode(name)))),
		heal: async mesh => void (await Promise.all(names.map(name => mesh.startNode(name))))
	};
}

/** SIGSTOP of nodes, then SIGCONT: connections stay open and nothing answers. */
export function nodesFrozen(...names: NodeName[]): Deed {
	const all = (signal: "SIGSTOP" | "SIGCONT") => async (mesh: Mesh) => {
		for (const name of names) mesh.signalNode(name, signal);
	};
	return { strike: all("SIGSTOP"), heal: all("SIGCONT") };
}

/** SIGKILL of a server; then it is started again, on its data or without. */
export function serverKilled(name: ServerName, { wiped = false } = {}): Deed {
	return {
		strike: mesh => mesh.servers[name].kill(),
		async heal(mesh) {
			if (wiped) await mesh.servers[name].wipe();
			await mesh.servers[name].start();
		}
	};
}

/** SIGSTOP of a server, then SIGCONT. */
export function serverFrozen(name: ServerName): Deed {
	return { strike: async mesh => mesh.servers[name].pause(), heal: async mesh => mesh.servers[name].resume() };
}

/** A server that stands still and goes on, again and again. Times in milliseconds. */
export function serverStutters(name: ServerName, pause: number): Deed {
	let timer: NodeJS.Timeout;
	return {
		async strike(mesh) {
			let isFrozen = false;
			timer = setInterval(() => {
				isFrozen = !isFrozen;
				if (isFrozen) mesh.servers[name].pause();
				else mesh.servers[name].resume();
			}, pause);
		},
		async heal(mesh) {
			clearInterval(timer);
			mesh.servers[name].resume();
		}
	};
}

/** A node on a host of its own, whose wires to some servers are cut. */
export function hostCut(
	name: NodeName,
	...servers: ("nats" | "etcd" | "database")[]
): Deed & Pick<MeshFault, "arrange" | "tidy"> {
	return {
		async arrange(mesh) {
			const { env, wrapper } = await mesh.otherHost();
			await mesh.restart(name, env, wrapper);
		},
		strike: async mesh => (await mesh.otherHost()).cut(...servers),
		heal: async mesh => (await mesh.otherHost()).mend(...servers),
		tidy: mesh => mesh.restart(name)
	};
}

type Arranged = Deed & Pick<MeshFault, "arrange" | "tidy">;

/** The wall clock of the note nodes, and of others, steps by some seconds, and back in the end. */
export function clockStepped(seconds: number, ...names: NodeName[]): Arranged {
	const each = async (work: (name: NodeName) => Promise<void>) => void (await Promise.all(names.map(work)));
	return {
		arrange: mesh => each(name => mesh.restart(name, mesh.steppedClock)),
		strike: mesh =>
			mesh.setClock(seconds, "SELECT UNIX_TIMESTAMP(created_at) AS time FROM notes ORDER BY id DESC LIMIT 1"),
		heal: mesh => mesh.setClock(0),
		tidy: mesh => each(name => mesh.restart(name))
	};
}

/** The same for the database, whose clock decides about leases; with something else that happens meanwhile. */
export function databaseClockStepped(seconds: number, meanwhile?: Deed): Arranged {
	const restart = async ({ servers: { mariadb } }: Mesh, env = {}) => {
		await mariadb.stop();
		await mariadb.start(env);
	};
	return {
		arrange: mesh => restart(mesh, mesh.steppedClock),
		async strike(mesh, random) {
			await mesh.setClock(seconds, "SELECT UNIX_TIMESTAMP() AS time");
			await meanwhile?.strike(mesh, random);
		},
		// What happened meanwhile has to heal although the clock is wrong.
		heal: mesh => (meanwhile ? meanwhile.heal(mesh) : mesh.setClock(0)),
		async tidy(mesh) {
			await mesh.setClock(0);
			await restart(mesh);
		}
	};
}

/** One deed after the other, each for some seconds, with a second of rest between. */
export function oneAfterTheOther(seconds: number, ...deeds: Deed[]): Deed {
	return {
		async strike(mesh, random) {
			for (const { strike, heal } of deeds) {
				await strike(mesh, random);
				await delay(seconds * 1000);
				await heal(mesh);
				await delay(1_000);
			}
		},
		heal: async () => {}
	};
}

/** Deeds by chance, for half a second to three seconds each, up to three at a time. */
export function storm(seconds: number, deeds: readonly Deed[]): Deed {
	return {
		async strike(mesh, random) {
			const end = Date.now() + seconds * 1000;
			const free = [...deeds];
			const wreak = async () => {
				while (Date.now() < end) {
					const [deed] = free.splice(Math.floor(random() * free.length), 1) as [Deed];
					await deed.strike(mesh, random);
					await delay(500 + 2_500 * random());
					await deed.heal(mesh);
					free.push(deed);
					await delay(500 * random());
				}
			};
			await Promise.all([wreak(), wreak(), wreak()]);
		},
		heal: async () => {}
	};
}
