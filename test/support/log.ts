import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { TestContext } from "node:test";
import { format } from "node:util";
import { type Errors, Loggers, ServiceBroker } from "moleculer";

/** A line that a broker or one of its services has logged. */
export interface LogLine {
	level: string;
	text: string;
}

/** Collects what a broker logs, down to debug. */
export class Log extends Loggers.Base<{ level?: "debug" }> {
	readonly lines: LogLine[] = [];
	readonly #news = new EventEmitter();

	constructor() {
		super({ level: "debug" });
	}

	override getLogHandler() {
		return (level: string, args: unknown[]) => {
			this.lines.push({ level, text: format(...args) });
			this.#news.emit("line");
		};
	}

	/** The texts of one level. */
	texts(level: string): string[] {
		return this.lines.filter(line => line.level === level).map(({ text }) => text);
	}

	/** Resolves as soon as `count` lines match; waits as long as that takes. */
	until(pattern: RegExp, count = 1): Promise<void> {
		const { promise, resolve } = Promise.withResolvers<void>();
		const check = () => {
			if (this.lines.filter(({ text }) => pattern.test(text)).length < count) return;
			this.#news.off("line", check);
			resolve();
		};
		this.#news.on("line", check);
		check();
		return promise;
	}
}

/** A broker that keeps its log and prints nothing. */
export function quietBroker(log = new Log()): ServiceBroker {
	return new ServiceBroker({ logger: log, registry: { stopDelay: 0 } });
}

/** The same, stopped when the test is over. */
export function brokerFor(t: TestContext, log = new Log()): ServiceBroker {
	const broker = quietBroker(log);
	t.after(() => broker.stop());
	return broker;
}

/** Checks code and type of an error, for `assert.rejects`. */
export function typed(code: number, type: string): (error: Partial<Errors.MoleculerError>) => true {
	return error => {
		assert.deepEqual([error.code, error.type], [code, type]);
		return true;
	};
}
