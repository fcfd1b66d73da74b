import { ServiceBroker } from "moleculer";

/** What moleculer.config.ts may set beside the options that moleculer has defaults for, as moleculer-runner names it. */
const OURS = [
	"CREATED",
	"STARTED",
	"REPLOPTIONS_DELIMITER",
	"REPLOPTIONS_CUSTOMCOMMANDS",
	"METADATA_ZONE",
	"METADATA_METRICS",
	"METADATA_METRICS_HOST",
	"METADATA_METRICS_PORT",
	"REGISTRY_STRATEGYOPTIONS",
	"REGISTRY_STRATEGYOPTIONS_PREFERZONE",
	"REGISTRY_STRATEGYOPTIONS_LEASTBUSY",
	"METRICS_COLLECTPROCESSMETRICS",
	"METRICS_DEFAULTMAXAGESECONDS",
	"METRICS_DEFAULTAGEBUCKETS",
	"METRICS_REPORTER",
	"TRACING_EXPORTER",
	"TRACING_EVENTS",
	"TRACING_SAMPLING",
	"TRACING_SAMPLING_TRACESPERSECOND",
	"TRACING_TAGS",
	"TRACING_TAGS_ACTION",
	"TRACING_TAGS_ACTION_PARAMS",
	"TRACING_TAGS_EVENT",
	"TRACING_TAGS_EVENT_PARAMS"
];

// moleculer's types leave it out.
const { defaultOptions } = ServiceBroker as unknown as { defaultOptions: object };

/** Variables that moleculer-runner puts over the broker option of the same path, also with 0 or false. */
export const optionVariables: ReadonlySet<string> = new Set([...pathsOf(defaultOptions), ...OURS]);

/**
 * Names the variables that are set and with which moleculer-runner would overwrite broker options: `VALIDATOR=false`
 * takes every check away. Whatever begins with MOL_ counts also where it is empty: the runner makes 0 of that.
 */
export function overwritingVariables(source: NodeJS.ProcessEnv): string[] {
	return Object.keys(source).filter(
		name => name.startsWith("MOL_") || (optionVariables.has(name) && source[name] !== "")
	);
}

function pathsOf(options: object, prefix = ""): string[] {
	return Object.entries(options).flatMap(([key, value]) => {
		const name = prefix + key.toUpperCase();
		return [name, ...(typeof value === "object" && value !== null ? pathsOf(value, `${name}_`) : [])];
	});
}
