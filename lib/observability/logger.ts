import { stripVTControlCharacters } from "node:util";
import { Loggers, type LogLevels } from "moleculer";
import { type DestinationStream, type Logger as Pino, stdTimeFunctions } from "pino";
import pretty from "pino-pretty";
import { currentContext } from "./current-context.ts";
import { redacted } from "./redact.ts";

interface LoggerOptions {
	level: LogLevels;
	/** One JSON object a line, for machines; else coloured text for people. */
	json: boolean;
	/** Where lines go; stdout by default. */
	destination?: DestinationStream;
}

type Bindings = Parameters<Loggers.Pino["getLogHandler"]>[0];

/** A logger of one service, or of a part of moleculer. */
interface Child {
	/** Name of the service or part, in small letters. */
	module: string;
	pino: Pino;
}

/**
 * moleculer's Pino logger, and what production needs of it: every line inside of a request tells trace, span, service,
 * action and user; values of secret keys are taken out; levels may be changed while it runs.
 */
export class RequestLogger extends Loggers.Pino {
	/** Made by the base class. */
	declare pino: Pino;
	readonly #children: Child[] = [];
	readonly #changed = new Map<string, LogLevels>();

	constructor({ level, json, destination }: LoggerOptions) {
		const options = {
			level: "trace",
			base: null,
			timestamp: stdTimeFunctions.isoTime,
			formatters: { level: (label: string) => ({ level: label }) },
			mixin: requestFields
		};
		const output = json ? destination : prettyTo(destination);
		super({ level, pino: { options, destination: output as DestinationStream } });
	}

	override getLogHandler({ nodeID, mod }: Bindings): Loggers.Base.LogHandler {
		const module = mod.toLowerCase();
		const level = this.#changed.get(module) ?? this.#changed.get("") ?? this.opts.level ?? "info";
		const pino = this.pino.child({ node: nodeID, module }, { level });
		this.#children.push({ module, pino });
		return (type, args) => {
			if (pino.isLevelEnabled(type)) pino[type](...lineOf(args));
		};
	}

	/**
	 * Changes from which level on is logged.
	 * @param module a service's name, or a part of moleculer (`transit`, `registry` ...); everything, where not given
	 */
	setLevel(level: LogLevels, module = ""): void {
		if (module === "") this.#changed.clear();
		this.#changed.set(module.toLowerCase(), level);
		for (const child of this.#children)
			if (module === "" || child.module === module.toLowerCase()) child.pino.level = level;
	}
}

/** What a line says of the request that it is written in. */
function requestFields(): object {
	const ctx = currentContext();
	if (!ctx) return {};
	const { user } = ctx.meta as { user?: { id: number } | null };
	return {
		trace_id: ctx.requestID,
		span_id: (ctx.span?.id ?? ctx.id).slice(0, 16),
		service: ctx.service?.fullName,
		...(ctx.eventName ? { event: ctx.eventName } : { action: ctx.action?.name }),
		...(user && { user_id: user.id })
	};
}

/** moleculer logs a text and then whatever belongs to it; Pino wants the fields first, and would drop what comes later. */
function lineOf(args: unknown[]): [fields: object, text: string] {
	const texts: string[] = [];
	const fields: Record<string, unknown> = {};
	for (const argument of args) {
		if (argument instanceof Error) fields.err = redacted(argument);
		else if (Array.isArray(argument)) fields.list = redacted(argument);
		else if (typeof argument === "object" && argument !== null) Object.assign(fields, redacted(argument));
		else if (argument !== undefined) texts.push(String(argument));
	}
	return [fields, stripVTControlCharacters(texts.join(" "))];
}

function prettyTo(destination: DestinationStream | undefined): DestinationStream {
	return pretty({
		...(destination && { destination }),
		colorize: Boolean(process.stdout.isTTY),
		ignore: "node,module,service,span_id",
		messageFormat: "{node}/{module}: {msg}",
		errorLikeObjectKeys: [],
		singleLine: true,
		sync: true
	});
}
