import type { ReplOptions, ServiceBroker } from "moleculer";
import { EtcdDiscoverer } from "./discoverer.ts";
import { isWeight } from "./keys.ts";

/** `Number` takes an empty text for 0, which drains a node, and 0x10 for 16. */
const PLAIN_NUMBER = /^\d+(\.\d+)?$/;
const USAGE = "Usage: registry | registry weight <service> <node> <n>, where n is a decimal number of 0 or more";

/** What moleculer-repl hands to a command. */
interface Helpers {
	table(rows: string[][]): string;
}

interface Arguments {
	verb?: string;
	service?: string;
	node?: string;
	weight?: string;
}

/**
 * Commands for moleculer-repl's `customCommands`: `registry` shows the members, `registry weight <service> <node> <n>`
 * changes a weight in etcd.
 */
export const registryCommands: NonNullable<ReplOptions["customCommands"]> = [
	{
		command: "registry [verb] [service] [node] [weight]",
		description: "Show the etcd registry, or `registry weight <service> <node> <n>`",
		async action(broker: ServiceBroker, args: unknown, { table }: Helpers): Promise<void> {
			// moleculer's type says string[], but its REPL passes the arguments by name.
			console.log(await run(broker, args as Arguments, table));
		}
	}
];

async function run(broker: ServiceBroker, args: Arguments, table: Helpers["table"]): Promise<string> {
	const { discoverer } = broker.registry;
	if (!(discoverer instanceof EtcdDiscoverer)) return "This broker does not use the etcd registry.";
	if (args.verb === undefined) return overview(discoverer, table);
	const { verb, service, node } = args;
	const weight = PLAIN_NUMBER.test(args.weight ?? "") ? Number(args.weight) : Number.NaN;
	if (verb !== "weight" || !service || !node || !isWeight(weight)) return USAGE;
	try {
		await discoverer.changeWeight(service, node, weight);
	} catch (error) {
		return (error as Error).message; // the REPL would print its stack
	}
	return `The weight of ${service} on ${node} is ${weight} now.`;
}

function overview(discoverer: EtcdDiscoverer, table: Helpers["table"]): string {
	const { endpoint, revision } = discoverer.link;
	const members = discoverer
		.members()
		.map(({ nodeID, state, age, lease, revision, services }) => [
			nodeID,
			state,
			`${Math.round(age / 1000)} s`,
			lease,
			String(revision),
			services.map(({ service, weight }) => `${service} (${weight})`).join("\n") || "-"
		]);
	return [
		table([["Node", "State", "Age", "Lease", "Revision", "Services (weight)"], ...members]),
		`etcd: ${endpoint ?? "not reachable"}, revision ${revision}`
	].join("\n");
}
