import { mock } from "node:test";

/** What a command of the REPL prints, tables as their rows in JSON. */
export async function printed(command: () => Promise<void>): Promise<string> {
	const lines: unknown[] = [];
	const log = mock.method(console, "log", (text: unknown) => void lines.push(text));
	const table = mock.method(console, "table", (rows: unknown) => void lines.push(JSON.stringify(rows)));
	try {
		await command();
	} finally {
		log.mock.restore();
		table.mock.restore();
	}
	return lines.join("\n");
}
