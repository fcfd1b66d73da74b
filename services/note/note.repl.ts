import type { ServiceBroker } from "moleculer";
import { call } from "../../lib/call.ts";

/** What moleculer-repl passes for the command line (its own types say `string[]`). */
interface NotesArguments {
	username: string;
	options: { limit?: string };
}

/** REPL: `notes <username>` lists the newest notes of a user by name. */
export const notesCommand = {
	command: "notes <username>",
	description: "List the newest notes of a user",
	options: [{ option: "-l, --limit <count>", description: "How many, 10 by default" }],
	async action(broker: ServiceBroker, args: unknown): Promise<void> {
		const { username, options } = args as NotesArguments;
		const [user] = await call(broker, "user.find", { query: { username } });
		if (!user) {
			console.log(`No user is called "${username}".`);
			return;
		}
		const limit = Number(options.limit ?? 10);
		const identity = { id: user.id, role: "user", session_id: "repl" } as const;
		const page = await call(broker, "note.query", { limit }, { meta: { user: identity } });
		console.log(`${page.total} notes of ${user.username} (user ${user.id})`);
		console.table(
			page.notes.map(({ note_id, title, version, update_time }) => ({ note_id, title, version, update_time }))
		);
	}
};
