import { setTimeout as delay } from "node:timers/promises";
import type { Context, ServiceBroker } from "moleculer";
import type { Branch } from "../../../mixins/saga/engine.ts";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { type Mutation, runBranch } from "./mutations.ts";
import { type CellPayload, change, type Databases, fires, settings, strike } from "./world.ts";

type BranchCall = Context<CellPayload, { saga: Branch }>;

/** Longer than a call may take. */
const HELD_MS = settings.callTimeout * 2;

/**
 * The participants of the matrix: `user` beside the sagas, `points` and `coupon` in another database, and `check`, which
 * says no where the payload wants it. With a prefix they are victims, that strike themselves where the payload says.
 */
export async function startParticipants(
	broker: ServiceBroker,
	databases: Databases,
	{ prefix = "", mutation }: { prefix?: string; mutation?: Mutation | undefined }
): Promise<void> {
	const branch = async (ctx: BranchCall) => {
		const { saga, fault, slow } = { saga: ctx.meta.saga, ...ctx.params };
		const at = (place: string) => `${saga.op} ${saga.step} ${place}`;
		const place = async (where: string) => {
			const strikes = prefix !== "" && fault.kind === "kill" && fault.at === at(where);
			if (strikes && (await fires(databases, saga.gid))) await strike("kill");
		};
		await place("before tx");
		const database = saga.step === "user" ? databases.owner : databases.other;
		await runBranch(
			database,
			ctx,
			async transaction => {
				await place("after barrier");
				if (fault.kind === "open" && fault.at === at("open") && (await fires(databases, saga.gid)))
					await delay(HELD_MS);
				if (slow && saga.step === "user") await delay(slow);
				await change(databases, saga, saga.op === "action" ? 1 : -1, transaction);
				await place("before commit");
			},
			mutation
		);
		await place("after commit");
		return null;
	};
	const check = ({ params }: BranchCall) => {
		if (params.refuse) throw sagaFailure("refused");
		return null;
	};
	const service = (name: string, actions: Record<string, (ctx: BranchCall) => unknown>) =>
		broker.createService({ name: `${prefix}${name}`, actions: actions as never });
	for (const name of ["user", "points", "coupon"]) service(name, { do: branch, undo: branch });
	service("check", { do: check });
	await broker.start();
}
