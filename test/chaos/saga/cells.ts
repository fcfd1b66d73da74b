import type { CellPayload, Fault } from "./world.ts";

/** One cell of the matrix: a saga with a fault, and who it strikes. */
export interface Cell {
	group: "happy" | "rollback" | "action" | "compensation" | "network" | "hanging" | "open" | "pause" | "together";
	name: string;
	definition: "chaos" | "hurried";
	payload: CellPayload;
	/** The process to start for it. */
	victim: "coordinator" | "participant" | null;
	/** When a stopped process is resumed: at the end of the saga, or as soon as somebody else has claimed it. */
	resume?: "finished" | "claimed";
}

const STEPS = ["user", "points", "coupon"];
const BACKWARDS = STEPS.toReversed();
const MESSAGES = ["lost", "answerLost", "duplicate", "late"] as const;

type Given = Pick<Cell, "group"> & Partial<Omit<Cell, "payload">> & { refuse?: boolean; slow?: number };

function cell(fault: Fault, { refuse = false, slow, ...given }: Given): Cell {
	const payload = { fault, refuse, ...(slow && { slow }) };
	return { name: `${fault.kind} ${fault.at}`, definition: "chaos", victim: null, ...given, payload };
}

const coordinatorKilled = (group: "happy" | "rollback", places: string[]) =>
	places.map(at => cell({ kind: "kill", at }, { group, refuse: group === "rollback", victim: "coordinator" }));

const around = (op: string, steps: string[]) =>
	steps.flatMap(step => [`before ${op} ${step}`, `after ${op} ${step}`, `stored ${op} ${step}`]);

const participantKilled = (op: "action" | "compensate") =>
	STEPS.flatMap(step =>
		["before tx", "after barrier", "before commit", "after commit"].map(place =>
			cell(
				{ kind: "kill", at: `${op} ${step} ${place}` },
				{ group: op === "action" ? "action" : "compensation", refuse: op === "compensate", victim: "participant" }
			)
		)
	);

const network = (op: "action" | "compensate") =>
	STEPS.flatMap(step =>
		MESSAGES.map(kind => cell({ kind, at: `${op} ${step}` }, { group: "network", refuse: op === "compensate" }))
	);

const PLACES = ["after submit", "after action points", "after action coupon"];

/** The cells in which a coordinator is stopped for longer than its lease. */
export const pauseCells: readonly Cell[] = [
	cell(
		{ kind: "stop", at: "after submit" },
		// Resumed while the new owner's first call is under way.
		{ group: "pause", victim: "coordinator", resume: "claimed", slow: 300 }
	),
	cell({ kind: "stop", at: "after action points" }, { group: "pause", victim: "coordinator", resume: "finished" }),
	cell({ kind: "stop", at: "before finish" }, { group: "pause", victim: "coordinator", resume: "finished" }),
	...PLACES.map(at =>
		cell(
			{ kind: "stop", at },
			{
				group: "pause",
				name: `stop ${at}, deadline`,
				definition: "hurried",
				victim: "coordinator",
				resume: "finished"
			}
		)
	)
];

/** The 86 cells. */
export const cells: readonly Cell[] = [
	...coordinatorKilled("happy", [
		"after submit",
		"after claim",
		...around("action", STEPS),
		"before finish",
		"after finish"
	]),
	...coordinatorKilled("rollback", [
		"before abort",
		"after abort",
		...around("compensate", BACKWARDS),
		"before finish",
		"after finish"
	]),
	...participantKilled("action"),
	...participantKilled("compensate"),
	...network("action"),
	...network("compensate"),
	...STEPS.map(step => cell({ kind: "hanging", at: `action ${step}` }, { group: "hanging" })),
	...STEPS.map(step => cell({ kind: "open", at: `action ${step} open` }, { group: "open", definition: "hurried" })),
	...pauseCells
];
