import type { ServiceBroker } from "moleculer";
import { call } from "../../lib/call.ts";

/** REPL: `notes <username>` lists the newest notes of a user by name. */
export const notesCommand = {
	command: "notes <username>",
	description: "List the newest notes of a user",
	options: [{ option: "-l, --limit <count>", description: "How many, 10 by default" }],
	async action(broker: ServiceBroker, args: { username: string; options: { limit?: string } }): Promise<void> {
		const [user] = await call(broker, "user.find", { query: { username: args.username } });
		if (!user) {
			console.log(`No user is called "${args.username}".`);
			return;
		}
		const limit = Number(args.options.limit ?? 10);
		const identity = { id: user.id, session_id: "repl" };
		const page = await call(broker, "note.query", { limit }, { meta: { user: identity } });
		console.log(`${page.total} notes of ${user.username} (user ${user.id})`);
		console.table(
			page.notes.map(({ note_id, title, version, update_time }) => ({ note_id, title, version, update_time }))
		);
	}
};
