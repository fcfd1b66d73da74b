import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError } from "../../lib/errors.ts";
import { idempotencyKeyOf, identityOf, type Meta } from "../../lib/identity.ts";
import { register } from "../../lib/observability/instruments.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { AUDIT, platform } from "../../lib/streams.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type EventsMethods, EventsMixin } from "../../mixins/events.mixin.ts";
import { type IdempotencyMethods, IdempotencyMixin } from "../../mixins/idempotency.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { noteModel } from "../../models/note.model.ts";
import { type AuthorsOf, authorDirectory, FALLBACKS } from "./note.authors.ts";
import * as contract from "./note.contract.ts";
import { noteError } from "./note.contract.ts";
import { DEFAULT_LIMIT, noteCursors, present } from "./note.domain.ts";
import { type NoteLists, noteLists } from "./note.lists.ts";
import { type NoteStore, noteStore } from "./note.store.ts";

interface NoteMethods extends DbMethods, EventsMethods, IdempotencyMethods {}

interface NoteVars {
	authorsOf: AuthorsOf;
	lists: NoteLists;
	notes: NoteStore;
}

const NoteService: ServiceSchema<DbSettings, NoteMethods, NoteVars> = {
	name: "note",
	mixins: [
		RegistryMixin(),
		IdempotencyMixin({ keyOf: idempotencyKeyOf, retention: () => env().IDEMPOTENCY_HOURS * 3_600_000 }),
		EventsMixin({ ...platform, audit: AUDIT }),
		DbMixin({
			model: noteModel,
			migrator: migratorOf("note"),
			url: () => databaseUrl(env(), "note"),
			connection: { onStatement: observeStatement }
		})
	],
	settings: { fields: ["id", "user_id", "title", "content", "version", "created_at", "updated_at"] },

	actions: {
		// The generic write would bypass ownership and the folded copies that search reads.
		insert: false,

		create: {
			visibility: "published",
			params: contract.createNote,
			audit: { object: "note" },
			async handler(ctx: Context<contract.CreateNote, Meta>): Promise<contract.Note> {
				const { id } = identityOf(ctx);
				const authors = await this.authorsOf(ctx, [id]);
				const { result } = await this.lists.changing(id, () =>
					this.audited(
						ctx,
						transaction =>
							this.idempotent(ctx, transaction, async () =>
								present(await this.notes.insert(id, ctx.params, transaction), authors.get(id))
							),
						created => (created.repeated ? null : { id: created.result.note_id }),
						// Who repeats a key waits for whoever came first with it, and must not make others wait.
						{ together: !idempotencyKeyOf(ctx) }
					)
				);
				return result;
			}
		},

		query: {
			visibility: "published",
			params: contract.queryNotes,
			tracing: { tags: { params: ["offset", "limit"] } },
			async handler(ctx: Context<contract.QueryNotes, Meta>): Promise<contract.NotePage> {
				const { search_key, cursor, offset = 0, limit = DEFAULT_LIMIT } = ctx.params;
				const before = noteCursors.placeOf(cursor)?.id;
				if (cursor && ctx.params.offset !== undefined)
					throw fieldError("offset", "cursorOrOffset", "The 'offset' field excludes the 'cursor' field.");

				const { id } = identityOf(ctx);
				return this.lists.page(id, { search_key, before, offset, limit }, async () => {
					const { total, rows } = await this.notes.page(id, search_key, { before, offset, limit: limit + 1 });
					const { page, next_cursor } = noteCursors.page(rows, limit);
					const authors = await this.authorsOf(
						ctx,
						page.map(note => note.user_id)
					);
					return { total, notes: page.map(note => present(note, authors.get(note.user_id))), next_cursor };
				});
			}
		},

		get: {
			visibility: "published",
			params: contract.noteById,
			async handler(ctx: Context<contract.NoteById, Meta>): Promise<contract.Note> {
				const { id } = identityOf(ctx);
				const note = await this.notes.find(id, ctx.params.note_id);
				if (!note) throw noteError("NOTE_NOT_FOUND");
				const authors = await this.authorsOf(ctx, [id]);
				return present(note, authors.get(id));
			}
		},

		mget: {
			visibility: "public",
			params: contract.manyNotes,
			async handler(ctx: Context<contract.ManyNotes>): Promise<contract.Note[]> {
				const notes = await this.notes.findMany(ctx.params.note_ids);
				const authors = await this.authorsOf(
					ctx,
					notes.map(note => note.user_id)
				);
				return notes.map(note => present(note, authors.get(note.user_id)));
			}
		},

		update: {
			visibility: "published",
			params: contract.updateNote,
			audit: { object: "note", id: "note_id", details: ["version"] },
			async handler(ctx: Context<contract.UpdateNote, Meta>): Promise<contract.Note> {
				const { note_id, version, ...texts } = ctx.params;
				if (texts.title === undefined && texts.content === undefined)
					throw fieldError("title", "required", "One of the fields 'title' and 'content' is required.");

				const { id } = identityOf(ctx);
				const authors = await this.authorsOf(ctx, [id]);
				const note = await this.lists.changing(id, () =>
					this.audited(ctx, async transaction => {
						const updated = await this.notes.update(id, note_id, texts, version, transaction);
						const found = await this.notes.find(id, note_id, transaction);
						if (!found) throw noteError("NOTE_NOT_FOUND");
						if (!updated) throw noteError("NOTE_VERSION_CONFLICT", { version: found.version });
						return found;
					})
				);
				return present(note, authors.get(id));
			}
		},

		remove: {
			visibility: "published",
			params: contract.noteById,
			audit: { object: "note", id: "note_id" },
			async handler(ctx: Context<contract.NoteById, Meta>): Promise<null> {
				const { id } = identityOf(ctx);
				await this.lists.changing(id, () =>
					this.audited(ctx, async transaction => {
						const removed = await this.notes.remove(id, ctx.params.note_id, transaction);
						if (!removed) throw noteError("NOTE_NOT_FOUND");
					})
				);
				return null;
			}
		}
	},

	created() {
		this.authorsOf = authorDirectory(this.broker);
		this.lists = noteLists(this.broker.cacher, error => this.logger.warn("Lists can not be remembered", error));
		register(this.broker, [
			{
				type: "counter",
				name: FALLBACKS,
				labelNames: ["action"],
				known: [{ action: "user.mget" }],
				description: "Answers that were given without what an action would have added"
			}
		]);
	},

	started() {
		this.notes = noteStore(this.statements);
	}
};

export default NoteService;
