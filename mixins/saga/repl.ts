import type { ServiceBroker } from "moleculer";
import type { SagaView } from "./operator.ts";
import type { Moment } from "./timeline.ts";

/** What moleculer-repl passes for the command line (its own types say `string[]`). */
interface SagaArguments {
	verb: string;
	gid?: string;
	/** The whole line: a list of words is not handed over otherwise. */
	rawCommand: string;
	options: { status?: string; attention?: boolean; limit?: string };
}

const USAGE = `saga list [--status <status>] [--attention] [--limit <count>]
saga show <gid>
saga retry <gid> <reason...>
saga skip <gid> <step> <reason...>
saga fail <gid> <reason...>`;

/** REPL: `saga list | show | retry | skip | fail`, over every service that owns sagas. */
export const sagaCommand = {
	command: "saga <verb> [gid] [words...]",
	description: "Look at sagas and intervene: list, show, retry, skip, fail",
	options: [
		{ option: "-s, --status <status>", description: "submitted, aborting, succeed or failed" },
		{ option: "-a, --attention", description: "Only those that need a person" },
		{ option: "-l, --limit <count>", description: "How many, 20 by default" }
	],
	async action(broker: ServiceBroker, args: unknown): Promise<void> {
		const { verb, gid, rawCommand, options } = args as SagaArguments;
		const words = rawCommand.split(/\s+/).slice(3);
		if (verb === "list") return list(broker, options);
		if (!gid) return console.log(USAGE);
		const owner = await ownerOf(broker, gid);
		if (!owner) return console.log(`No saga is called "${gid}".`);
		if (verb === "show") return show(broker, owner, gid);

		const [step, ...rest] = words;
		const reason = (verb === "skip" ? rest : words).join(" ");
		if (!["retry", "skip", "fail"].includes(verb) || !reason) return console.log(USAGE);
		try {
			await broker.call(`${owner}.saga.${verb}`, { gid, reason, ...(verb === "skip" && { step }) });
			await show(broker, owner, gid);
		} catch (error) {
			console.log(error instanceof Error ? error.message : error);
		}
	}
};

/** The services that own sagas, by their names. */
function owners(broker: ServiceBroker): string[] {
	const actions = broker.registry.getActionList({ onlyAvailable: true, grouping: true } as never) as { name: string }[];
	return actions.filter(({ name }) => name.endsWith(".saga.get")).map(({ name }) => name.slice(0, -".saga.get".length));
}

async function ownerOf(broker: ServiceBroker, gid: string): Promise<string | undefined> {
	for (const owner of owners(broker)) {
		const found = await broker.call(`${owner}.saga.outcome`, { gid }).catch(() => null);
		if (found) return owner;
	}
	return undefined;
}

async function list(broker: ServiceBroker, { status, attention, limit }: SagaArguments["options"]): Promise<void> {
	const filter = { limit: Number(limit ?? 20), ...(status && { status }), ...(attention && { attention }) };
	for (const owner of owners(broker)) {
		const { sagas } = (await broker.call(`${owner}.saga.list`, filter)) as { sagas: SagaView[] };
		console.log(`${sagas.length} sagas of ${owner}`);
		console.table(
			sagas.map(({ gid, name, status, createdAt, needsAttention, reason }) => ({
				...{ gid, name, status, createdAt, attention: needsAttention ? "yes" : "", reason: reason?.message ?? "" }
			}))
		);
	}
}

async function show(broker: ServiceBroker, owner: string, gid: string): Promise<void> {
	const saga = (await broker.call(`${owner}.saga.get`, { gid })) as SagaView & { timeline: Moment[] };
	const { name, version, status, epoch, owner: node, nextRunAt, needsAttention, payload } = saga;
	console.log(`${name} v${version}  ${status}  epoch ${epoch} on ${node}${needsAttention ? "  NEEDS ATTENTION" : ""}`);
	console.log(`payload ${JSON.stringify(payload)}  next run ${nextRunAt}`);
	console.table(
		saga.steps.map(({ name, action, compensation, attempts, lastError }) => ({
			...{ step: name, action, compensation, attempts, error: lastError?.message ?? "" }
		}))
	);
	console.table(saga.timeline);
}
