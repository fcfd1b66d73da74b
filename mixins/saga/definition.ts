/** What a step's parameters are made from. */
export interface SagaContext<Payload, Results> {
	gid: string;
	payload: Readonly<Payload>;
	/** What the actions of finished steps answered, by the step's name. */
	results: Readonly<Partial<Results>>;
}

/** One step: an action, and the action that takes it back. Both get the same parameters. */
export interface StepDefinition<Payload = never, Results = never> {
	/** Unique in the saga, at most 64 ASCII characters. It is written into barrier rows: never rename it. */
	name: string;
	/** The broker action to call. */
	action: string;
	/** The broker action that undoes it. A step without one has nothing to undo. */
	compensate?: string;
	/** The parameters of both actions; the payload where not given. */
	params?: (saga: SagaContext<Payload, Results>) => object;
	/** The steps that must be done before. The step above where not given; `[]` starts at once. */
	after?: readonly string[];
	/** How long a call may take, in milliseconds; the engine's `callTimeout` where not given. */
	timeout?: number;
	/** How often the action is tried before the saga is rolled back; the engine's `maxAttempts` where not given. */
	maxAttempts?: number;
}

/** A saga as data. */
export interface SagaDefinition<Payload = never, Results = never> {
	/** Stored in the row together with the version. */
	name: string;
	/** Change it with the steps: a saga under way goes on with the version that it was begun with. */
	version: number;
	steps: readonly StepDefinition<Payload, Results>[];
	/** When the whole is rolled back if it is not done, in milliseconds after the start. Never where not given. */
	timeout?: number;
	/** Fields of the payload that are never shown to an operator. */
	secret?: readonly (keyof Payload & string)[];
}

/** A step as the engine sees it: with its place, and its order spelt out. */
export interface Step extends StepDefinition {
	index: number;
	after: readonly string[];
}

/** A definition that was checked. */
export interface Saga extends Omit<SagaDefinition, "steps" | "secret"> {
	steps: readonly Step[];
	secret: readonly string[];
}

/** The same, for those who run it: they are told the types. */
export interface TypedSaga<Payload, Results> extends Saga {
	/** For the compiler only. */
	types?: { payload: Payload; results: Results };
}

/** An id, or the name of a saga or a step. Columns of ASCII hold them, with which MySQL does not compare other text. */
export const NAME = /^[\w.:-]{1,64}$/;

/**
 * Checks a definition and spells out its order.
 * @throws Error that names the rule it breaks: names, doubles, an order that knows no such step or runs in a circle
 */
export function defineSaga<Payload extends object, Results extends object = Record<string, unknown>>(
	definition: SagaDefinition<Payload, Results>
): TypedSaga<Payload, Results> {
	const { name, version, steps, secret = [], ...rest } = definition;
	const wrong = (problem: string) => new Error(`Saga '${name}': ${problem}`);
	if (!NAME.test(name)) throw wrong("a name has 1 to 64 characters of A-Z a-z 0-9 _ . : -");
	if (!Number.isInteger(version) || version < 1) throw wrong("the version is a positive integer");
	if (steps.length === 0) throw wrong("there is no step");

	const names = new Set<string>();
	const ordered = steps.map((step, index) => {
		const after = step.after ?? steps.slice(Math.max(0, index - 1), index).map(previous => previous.name);
		if (!NAME.test(step.name)) throw wrong(`'${step.name}' is not a step's name`);
		if (names.has(step.name)) throw wrong(`there are two steps '${step.name}'`);
		// Only steps above may be named, so an order cannot run in a circle.
		const unknown = after.find(other => !names.has(other));
		if (unknown !== undefined) throw wrong(`step '${step.name}' comes after '${unknown}', which is not above it`);
		names.add(step.name);
		return { ...step, index, after } as unknown as Step;
	});
	return { ...rest, name, version, steps: ordered, secret };
}

/** How a definition is found again: by the name and version that are stored in the row. */
export class Definitions {
	readonly #known = new Map<string, Saga>();

	constructor(definitions: readonly Saga[]) {
		for (const definition of definitions) this.#known.set(keyOf(definition), definition);
	}

	find(saga: { name: string; version: number }): Saga | undefined {
		return this.#known.get(keyOf(saga));
	}

	/** The names and versions that this node can drive. */
	get all(): readonly Saga[] {
		return [...this.#known.values()];
	}
}

function keyOf({ name, version }: { name: string; version: number }): string {
	return `${name}@${version}`;
}
