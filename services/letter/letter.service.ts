import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { hasType } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { AUDIT, platform } from "../../lib/streams.ts";
import type { DeadLetter } from "../../mixins/channels/dead-letters.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type EventsMethods, EventsMixin } from "../../mixins/events.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { outboxModel } from "../../models/outbox.model.ts";
import * as contract from "./letter.contract.ts";
import { letterError } from "./letter.contract.ts";
import { present, presentWhole, replayedDetails } from "./letter.domain.ts";

interface LetterMethods extends DbMethods, EventsMethods {
	/** Runs something on the dead letters for an admin. @throws LETTER_ADMIN_ONLY, LETTER_NOT_FOUND, LETTER_UNDELIVERABLE */
	onLetters<T>(
		ctx: Context<unknown, Meta>,
		work: (letters: EventsMethods["channels"]["deadLetters"]) => Promise<T>
	): Promise<T>;
}

/** Dead letters for operators. Its own database holds the outbox of what it reports to the audit log. */
const LetterService: ServiceSchema<DbSettings, LetterMethods> = {
	name: "letter",
	mixins: [
		RegistryMixin(),
		EventsMixin({ ...platform, audit: AUDIT }),
		DbMixin({
			model: outboxModel,
			migrator: migratorOf("letter"),
			url: () => databaseUrl(env(), "letter"),
			connection: { onStatement: observeStatement }
		})
	],

	actions: {
		create: false,
		insert: false,
		update: false,
		remove: false,
		find: false,
		count: false,
		get: false,

		list: {
			visibility: "published",
			params: contract.listLetters,
			async handler(ctx: Context<contract.ListLetters, Meta>): Promise<contract.LetterPage> {
				const letters = await this.onLetters(ctx, dead => dead.list(ctx.params));
				return { letters: letters.map(present) };
			}
		},

		show: {
			visibility: "published",
			params: contract.letterById,
			async handler(ctx: Context<contract.LetterById, Meta>): Promise<contract.WholeLetter> {
				return presentWhole(await this.onLetters(ctx, dead => dead.get(ctx.params.letter_id)));
			}
		},

		replay: {
			visibility: "published",
			params: contract.letterById,
			audit: { object: "letter", id: "letter_id" },
			async handler(ctx: Context<contract.LetterById, Meta>): Promise<contract.Replayed> {
				const { id } = await this.onLetters(ctx, dead => dead.replay(ctx.params.letter_id));
				return { letter_ids: [id] };
			}
		},

		replayAll: {
			visibility: "published",
			params: contract.replayLetters,
			audit: { object: "letter", details: ["consumer"], result: replayedDetails },
			async handler(ctx: Context<contract.ReplayLetters, Meta>): Promise<contract.Replayed> {
				return { letter_ids: await this.onLetters(ctx, dead => dead.replayAll(ctx.params.consumer)) };
			}
		},

		discard: {
			visibility: "published",
			params: contract.letterById,
			audit: { object: "letter", id: "letter_id" },
			async handler(ctx: Context<contract.LetterById, Meta>): Promise<null> {
				await this.onLetters<DeadLetter>(ctx, dead => dead.discard(ctx.params.letter_id));
				return null;
			}
		}
	},

	methods: {
		async onLetters(ctx, work) {
			if (identityOf(ctx).role !== "admin") throw letterError("LETTER_ADMIN_ONLY");
			try {
				return await work(this.channels.deadLetters);
			} catch (error) {
				if (hasType(error, "DEAD_LETTER_NOT_FOUND")) throw letterError("LETTER_NOT_FOUND");
				if (hasType(error, "DEAD_LETTER_UNDELIVERABLE")) throw letterError("LETTER_UNDELIVERABLE");
				throw error;
			}
		}
	}
};

export default LetterService;
