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

const OWNED = ".saga.get";
const USAGE = `saga list [--status <status>] [--attention] [--limit <count>]
saga show <gid>
saga retry <gid> <reason...>
saga skip <gid> <step> <reason...>
saga fail <gid> <reason...>`;

/** The meta of interventions: an operator at the REPL, for an audit log and the saga's timeline. */
const OPERATOR = { meta: { user: { id: 0, role: "admin", session_id: "repl" } } };

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
		try {
			await run(broker, args as SagaArguments);
		} catch (error) {
			console.log(lineOf(error));
		}
	}
};

async function run(broker: ServiceBroker, { verb, gid, rawCommand, options }: SagaArguments): Promise<void> {
	const words = rawCommand.split(/\s+/).slice(3);
	if (verb === "list") return list(broker, options);
	if (!gid) return console.log(USAGE);
	const owner = await ownerOf(broker, gid);
	if (verb === "show") return show(broker, owner, gid);

	const [step, ...rest] = words;
	const reason = (verb === "skip" ? rest : words).join(" ");
	if (!["retry", "skip", "fail"].includes(verb) || !reason) return console.log(USAGE);
	await broker.call(`${owner}.saga.${verb}`, { gid, reason, ...(verb === "skip" && { step }) }, OPERATOR);
	await show(broker, owner, gid);
}

/** An error's message; of refused parameters, what is wrong with each. The REPL would print it with its stack. */
function lineOf(error: unknown): string {
	const { message, data } = error as { message: string; data?: unknown };
	return Array.isArray(data) ? data.map(field => field.message).join(" ") : message;
}

/** The services that own sagas, by their names. @throws where there is none */
function owners(broker: ServiceBroker): string[] {
	const actions = broker.registry.getActionList({ onlyAvailable: true, grouping: true } as never) as { name: string }[];
	const names = actions.filter(({ name }) => name.endsWith(OWNED)).map(({ name }) => name.slice(0, -OWNED.length));
	if (names.length === 0) throw new Error("No node runs a service that owns sagas.");
	return names;
}

/** Who owns a saga. @throws where nobody does, or an owner that may have it does not answer */
async function ownerOf(broker: ServiceBroker, gid: string): Promise<string> {
	let failure: unknown = new Error(`No saga is called "${gid}".`);
	for (const owner of owners(broker))
		try {
			await broker.call(`${owner}.saga.outcome`, { gid });
			return owner;
		} catch (error) {
			if ((error as { type?: unknown }).type !== "SAGA_NOT_FOUND") failure = error;
		}
	throw failure;
}

async function list(broker: ServiceBroker, { status, attention, limit }: SagaArguments["options"]): Promise<void> {
	const filter = { limit: limit ?? 20, ...(status && { status }), ...(attention && { attention }) };
	for (const owner of owners(broker)) {
		const { sagas } = (await broker.call(`${owner}.saga.list`, filter)) as { sagas: SagaView[] };
		console.log(`${sagas.length} sagas of ${owner}`);
		console.table(
			sagas.map(({ gid, name, status, createdAt, needsAttention, reason }) => ({
				gid,
				name,
				status,
				createdAt,
				attention: needsAttention ? "yes" : "",
				reason: reason?.message ?? ""
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
			step: name,
			action,
			compensation,
			attempts,
			error: lastError?.message ?? ""
		}))
	);
	console.table(saga.timeline);
}
