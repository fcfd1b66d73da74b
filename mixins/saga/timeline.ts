import type { SagaEvent } from "./rows.ts";
import { isFinished, type SagaState } from "./state.ts";

/** One line of a saga's history. */
export interface Moment {
	at: string;
	what: string;
	step: string | null;
	actor: string | null;
	reason: string | null;
}

/** A saga's history in order: what its rows say about success, and what was noted about everything else. */
export function timelineOf(saga: SagaState, events: readonly SagaEvent[]): Moment[] {
	const moment = (at: string, what: string, step: string | null = null) => ({
		at,
		what,
		step,
		actor: null,
		reason: null
	});
	const moments: Moment[] = events.map(({ at, kind, step, actor, detail }) => ({
		at,
		step,
		actor,
		what: kind,
		reason: detail ? `${detail.type}: ${detail.message}` : null
	}));
	for (const step of saga.steps) {
		if (step.finishedAt) moments.push(moment(step.finishedAt, "done", step.name));
		if (step.compensatedAt) moments.push(moment(step.compensatedAt, "compensated", step.name));
	}
	const end = saga.finishedAt && isFinished(saga) ? [moment(saga.finishedAt, saga.status)] : [];
	const between = moments.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
	return [moment(saga.createdAt, "submitted"), ...between, ...end];
}
