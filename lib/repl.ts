import type { ServiceBroker } from "moleculer";

/** The meta of what an operator does at the REPL as an admin: user 0, as the audit log tells. */
export const ADMIN = { meta: { user: { id: 0, role: "admin", session_id: "repl" } } } as const;

/** A command's action that says in one line why it failed: the REPL would print the error with its stack. */
export function inOneLine<Arguments>(action: (broker: ServiceBroker, args: Arguments) => Promise<void>) {
	return async (broker: ServiceBroker, args: unknown): Promise<void> => {
		try {
			// What moleculer-repl passes for the command line; its own types say `string[]`.
			await action(broker, args as Arguments);
		} catch (error) {
			console.log(lineOf(error));
		}
	};
}

/** The number in an option. @throws where it is none: between nodes NaN becomes null, and "required" would mislead */
export function wholeNumber(option: string, text: string): number {
	const number = Number(text);
	if (!Number.isSafeInteger(number)) throw new Error(`${option} takes a whole number.`);
	return number;
}

/** An error's message; of refused parameters, what is wrong with each. */
function lineOf(error: unknown): string {
	const { message, data } = error as { message: string; data?: unknown };
	return Array.isArray(data) ? data.map(field => field.message).join(" ") : message;
}
