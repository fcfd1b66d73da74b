import type { Context, LogLevels, Middleware, ServiceBroker } from "moleculer";
import { broadcast } from "../call.ts";
import type { RequestLogger } from "./logger.ts";

interface LevelChange {
	level: LogLevels;
	/** A service's name; everything, where not given. */
	module?: string | undefined;
}

declare module "../call.ts" {
	interface Events {
		"log.levelChanged": LevelChange;
	}
}

const LEVELS: readonly string[] = ["fatal", "error", "warn", "info", "debug", "trace"];

/** Lets a running node change what it logs when the event `log.levelChanged` says so. */
export function logLevelMiddleware(logger: RequestLogger): Middleware {
	return {
		name: "LogLevel",
		async starting(broker) {
			broker.createService({
				name: "$log",
				events: {
					"log.levelChanged"({ params: { level, module } }: Context<LevelChange>) {
						if (!LEVELS.includes(level)) return;
						logger.setLevel(level, module);
						this.logger.warn(`The log level of ${module ?? "everything"} is ${level} now.`);
					}
				}
			});
		}
	};
}

/** What moleculer-repl passes for the command line (its own types say `string[]`). */
interface LogArguments {
	what: string;
	level: string;
	service?: string;
}

/** REPL: `log level <level> [service]` changes what all nodes log, until they are started again. */
export const logCommand = {
	command: "log <what> <level> [service]",
	description: "Change the log level of all nodes: log level <level> [service]",
	async action(broker: ServiceBroker, args: unknown): Promise<void> {
		const { what, level, service } = args as LogArguments;
		if (what !== "level" || !LEVELS.includes(level)) {
			console.log(`Usage: log level <${LEVELS.join("|")}> [service]`);
			return;
		}
		await broadcast(broker, "log.levelChanged", { level: level as LogLevels, module: service });
		console.log(`The log level of ${service ?? "everything"} is ${level} now, on all nodes.`);
	}
};
