import { call } from "../../lib/call.ts";
import { ADMIN, inOneLine, wholeNumber } from "../../lib/repl.ts";

interface AuditArguments {
	verb: string;
	options: { limit?: string };
}

const LIMIT = "20";
const EMPTY = "The log is empty";

/** REPL: `audit tail` shows the newest entries, `audit verify` walks the hash chains. */
export const auditCommand = {
	command: "audit <verb>",
	description: "The audit log: tail, verify",
	options: [{ option: "-l, --limit <count>", description: `How many entries, ${LIMIT} by default` }],
	action: inOneLine(async (broker, { verb, options }: AuditArguments) => {
		if (verb === "tail") {
			const limit = wholeNumber("--limit", options.limit ?? LIMIT);
			const { entries } = await call(broker, "audit.list", { limit }, ADMIN);
			if (entries.length === 0) return console.log(EMPTY);
			console.table(
				entries.map(({ time, user_id, action, object_type, object_id, outcome, error }) => ({
					time,
					user_id,
					action,
					outcome,
					error,
					object: `${object_type} ${object_id ?? ""}`
				}))
			);
			return;
		}
		if (verb !== "verify") {
			console.log("audit tail | verify");
			return;
		}
		const verdicts = await call(broker, "audit.verify", {}, { timeout: 0 });
		if (verdicts.length === 0) console.log(EMPTY);
		for (const { source, entries, hash, broken } of verdicts) {
			console.log(`${source}: ${entries} entries, ${broken ? "BROKEN" : "unbroken"}, hash ${hash}`);
			if (broken) console.log(broken);
		}
	})
};
