import { call } from "../../lib/call.ts";
import { ADMIN, inOneLine } from "../../lib/repl.ts";

interface LettersArguments {
	verb: string;
	which?: string;
	options: { consumer?: string };
}

const USAGE = "letters list | show <id> | replay <id|all> | discard <id>";

/** REPL: `letters list | show <id> | replay <id|all> | discard <id>`. What changes something is audited as user 0. */
export const lettersCommand = {
	command: "letters <verb> [which]",
	description: "Dead letters: list, show <id>, replay <id|all>, discard <id>",
	options: [{ option: "-c, --consumer <name>", description: "Only those of one consumer" }],
	action: inOneLine(async (broker, { verb, which, options: { consumer } }: LettersArguments) => {
		const narrowed = consumer === undefined ? {} : { consumer };
		const letter_id = Number(which);
		const isOfAll = verb === "list" || (verb === "replay" && which === "all");
		if (!isOfAll && !Number.isSafeInteger(letter_id)) return console.log(USAGE);
		switch (verb) {
			case "list": {
				const { letters } = await call(broker, "letter.list", narrowed, ADMIN);
				if (letters.length === 0) console.log("No dead letters");
				else console.table(letters.map(({ first_seen, event_id, ...shown }) => shown));
				return;
			}
			case "show":
				console.log(await call(broker, "letter.show", { letter_id }, ADMIN));
				return;
			case "replay": {
				const replayed = await (which === "all"
					? call(broker, "letter.replayAll", narrowed, ADMIN)
					: call(broker, "letter.replay", { letter_id }, ADMIN));
				console.log(`Replayed: ${replayed.letter_ids.join(", ") || "none"}`);
				return;
			}
			case "discard":
				await call(broker, "letter.discard", { letter_id }, ADMIN);
				console.log(`Discarded: ${letter_id}`);
				return;
			default:
				console.log(USAGE);
		}
	})
};
