import type { ServiceBroker } from "moleculer";
import { Coordinator } from "../../../mixins/saga/coordinator.ts";
import { Definitions } from "../../../mixins/saga/definition.ts";
import { type Branch, type CallBranch, SagaEngine } from "../../../mixins/saga/engine.ts";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { defaults } from "../../../mixins/saga/sagas.ts";
import type { SagaState } from "../../../mixins/saga/state.ts";
import { type SagaStore, sagaStore } from "../../../mixins/saga/store.ts";
import { type Mutation, mutatedStore } from "./mutations.ts";
import {
	type CellPayload,
	chaos,
	type Databases,
	type Fault,
	fires,
	hasFired,
	hurried,
	settings,
	strike
} from "./world.ts";

const definitions = [chaos, hurried];
const timeout = () => Object.assign(new Error("Request timed out"), { code: 504, type: "REQUEST_TIMEOUT" });
const faultOf = ({ payload }: SagaState) => (payload as CellPayload).fault;

/** A saga to begin in this process. */
export interface Run {
	gid: string;
	definition: "chaos" | "hurried";
	payload: CellPayload;
}

/**
 * A coordinator of the matrix, served as `<name>.run`. A victim drives what it is given and strikes itself at the place
 * that the payload names; the others also look for sagas that were left.
 */
export async function startCoordinator(
	broker: ServiceBroker,
	databases: Databases,
	{ name, isVictim, mutation }: { name: string; isVictim: boolean; mutation?: Mutation | undefined }
): Promise<void> {
	/** A place in the coordinator where a victim may be struck. */
	const place = async (saga: SagaState, at: string) => {
		const fault = faultOf(saga);
		const strikes = isVictim && fault.at === at && (fault.kind === "kill" || fault.kind === "stop");
		if (strikes && (await fires(databases, saga.gid))) await strike(fault.kind as "kill" | "stop");
	};
	const plain = sagaStore(databases.owner);
	const store = watched(mutatedStore(plain, mutation), databases, place);
	const send: CallBranch = (action, params, saga, { timeout }) =>
		broker.call(action, params, { meta: { saga }, timeout, retries: 0 });
	const call: CallBranch = async (action, params, branch, options) => {
		const { saga } = options;
		await place(saga, `before ${branch.op} ${branch.step}`);
		const answer = await network(databases, faultOf(saga), branch, action, target =>
			send(target, params, branch, options)
		);
		await place(saga, `after ${branch.op} ${branch.step}`);
		return answer;
	};
	const engine = new SagaEngine({
		store,
		call,
		owner: name,
		definitions: new Definitions(definitions),
		options: { ...defaults, ...settings },
		tell: fact => fact.kind === "released" && coordinator.nudge(fact.wait)
	});
	const coordinator = new Coordinator({
		engine,
		store,
		definitions,
		options: settings,
		onLate() {},
		async around(saga, drive) {
			await record(databases, saga.gid, "drive", saga.epoch);
			await drive();
		},
		onError: error => console.error(error)
	});

	async function run({ gid, definition, payload }: Run): Promise<null> {
		const begun = definitions.find(({ name }) => name === definition) ?? chaos;
		const { saga } = await engine.submit(begun, { gid, payload, traceparent: null });
		let mine: SagaState | null = saga;
		if (payload.fault.at === "after claim") {
			mine = await store.claim(gid, saga.epoch, { owner: name, lease: settings.lease, force: true });
			if (mine) await place(mine, "after claim");
		} else {
			await place(saga, "after submit");
		}
		if (mine && mutation === "epoch-reread") mine.epoch = (await plain.find(gid))?.epoch ?? mine.epoch;
		if (mine) await coordinator.drive(mine);
		return null;
	}
	broker.createService({ name, actions: { run: ctx => run(ctx.params as Run) } });
	await broker.start();
	await broker.waitForServices(["user", "points", "coupon", "check"]);
	if (!isVictim) coordinator.start();
}

/** The network between coordinator and participant, with the fault of the saga. */
async function network(
	databases: Databases,
	fault: Fault,
	branch: Branch,
	action: string,
	send: (action: string) => Promise<unknown>
): Promise<unknown> {
	const { gid, op, step } = branch;
	if (fault.victim && fault.at.startsWith(`${op} ${step} `) && !(await hasFired(databases, gid)))
		return send(`${fault.victim}.${action}`);
	const messages: readonly string[] = ["lost", "answerLost", "duplicate", "late", "hanging"];
	const strikes = messages.includes(fault.kind) && fault.at === `${op} ${step}`;
	if (!strikes || !(await fires(databases, gid))) return send(action);

	if (fault.kind === "late" || fault.kind === "hanging")
		await databases.owner.db.query("INSERT INTO late VALUES ($gid, $action, $branch)", {
			bind: { gid, action, branch: JSON.stringify(branch) }
		});
	if (fault.kind === "hanging") throw sagaFailure("reported as failed");
	if (fault.kind === "duplicate") return (await Promise.all([send(action), send(action)]))[0];
	if (fault.kind === "answerLost") await send(action);
	throw timeout();
}

/** Notes who drove or wrote under which epoch: an epoch has one owner. */
async function record({ owner }: Databases, gid: string, what: string, epoch: number): Promise<void> {
	const bind = { gid, epoch, writer: process.pid, what };
	await owner.db.query("INSERT INTO history VALUES ($gid, $epoch, $writer, $what)", { bind });
}

/** The store with places to be struck at, and a record of its writes. */
function watched(
	store: SagaStore,
	databases: Databases,
	place: (saga: SagaState, at: string) => Promise<void>
): SagaStore {
	const write = async (saga: SagaState, what: string, work: () => Promise<void>) => {
		await work();
		await record(databases, saga.gid, what, saga.epoch);
	};
	return {
		...store,
		async insert(...args) {
			const saga = await store.insert(...args);
			if (saga) await record(databases, saga.gid, "insert", 1);
			return saga;
		},
		async claim(...args) {
			const saga = await store.claim(...args);
			if (saga) await record(databases, saga.gid, "claim", saga.epoch);
			return saga;
		},
		async actionDone(saga, step, ...rest) {
			await write(saga, `action ${step.name}`, () => store.actionDone(saga, step, ...rest));
			await place(saga, `stored action ${step.name}`);
		},
		async compensated(saga, step) {
			await write(saga, `compensate ${step.name}`, () => store.compensated(saga, step));
			await place(saga, `stored compensate ${step.name}`);
		},
		delay: (saga, ...rest) => write(saga, "delay", () => store.delay(saga, ...rest)),
		async abort(saga, ...rest) {
			await place(saga, "before abort");
			await write(saga, "abort", () => store.abort(saga, ...rest));
			await place(saga, "after abort");
		},
		async finish(saga, status) {
			await place(saga, "before finish");
			await write(saga, "finish", () => store.finish(saga, status));
			await place(saga, "after finish");
		},
		release: (saga, wait) => write(saga, "release", () => store.release(saga, wait))
	};
}
