import { call } from "../../lib/call.ts";
import { inOneLine, wholeNumber } from "../../lib/repl.ts";

interface NotesArguments {
	username: string;
	options: { limit?: string };
}

/** REPL: `notes <username>` lists the newest notes of a user by name. */
export const notesCommand = {
	command: "notes <username>",
	description: "List the newest notes of a user",
	options: [{ option: "-l, --limit <count>", description: "How many, 10 by default" }],
	action: inOneLine(async (broker, { username, options }: NotesArguments) => {
		const limit = wholeNumber("--limit", options.limit ?? "10");
		const user = await call(broker, "user.byName", { username });
		if (!user) {
			console.log(`No user is called "${username}".`);
			return;
		}
		const identity = { id: user.user_id, role: "user", session_id: "repl" } as const;
		const page = await call(broker, "note.query", { limit }, { meta: { user: identity } });
		console.log(`${page.total} notes of ${user.username} (user ${user.user_id})`);
		console.table(
			page.notes.map(({ note_id, title, version, update_time }) => ({ note_id, title, version, update_time }))
		);
	})
};
