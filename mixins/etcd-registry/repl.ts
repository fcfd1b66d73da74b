import type { ReplOptions, ServiceBroker } from "moleculer";
import { EtcdDiscoverer } from "./discoverer.ts";

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
	if (args.verb !== "weight" || !args.service || !args.node || args.weight === undefined) {
		return "Usage: registry | registry weight <service> <node> <n>";
	}
	await discoverer.changeWeight(args.service, args.node, Number(args.weight));
	return `The weight of ${args.service} on ${args.node} is ${Number(args.weight)} now.`;
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
