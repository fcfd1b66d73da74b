import type { Context, LogLevels, Middleware } from "moleculer";
import { broadcast } from "../call.ts";
import { LOG_LEVELS } from "../env.ts";
import { inOneLine } from "../repl.ts";
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

const isLevel = (text: string): text is LogLevels => LOG_LEVELS.some(level => level === text);

/** Lets a running node change what it logs when the event `log.levelChanged` says so. */
export function logLevelMiddleware(logger: RequestLogger): Middleware {
	return {
		name: "LogLevel",
		async starting(broker) {
			broker.createService({
				name: "$log",
				events: {
					"log.levelChanged"({ params: { level, module } }: Context<LevelChange>) {
						if (!isLevel(level)) return;
						logger.setLevel(level, module);
						this.logger.warn(`The log level of ${module ?? "everything"} is ${level} now.`);
					}
				}
			});
		}
	};
}

interface LogArguments {
	what: string;
	level: string;
	service?: string;
}

/** REPL: `log level <level> [service]` changes what all nodes log, until they are started again. */
export const logCommand = {
	command: "log <what> <level> [service]",
	description: "Change the log level of all nodes: log level <level> [service]",
	action: inOneLine(async (broker, { what, level, service }: LogArguments) => {
		if (what !== "level" || !isLevel(level)) {
			console.log(`Usage: log level <${LOG_LEVELS.join("|")}> [service]`);
			return;
		}
		await broadcast(broker, "log.levelChanged", { level, module: service });
		console.log(`The log level of ${service ?? "everything"} is ${level} now, on all nodes.`);
	})
};
