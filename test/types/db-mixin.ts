// Compiled by `npm run types`, never run: a service with the DB mixin needs no casts.
import type { Context, ServiceSchema } from "moleculer";
import type { Model, ModelStatic } from "sequelize";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { type NoteCreation, type NoteRow, noteModel } from "../../models/note.model.ts";

interface Models {
	note: ModelStatic<Model<NoteRow, NoteCreation>>;
}

interface Methods extends DbMethods<Models> {
	titleOf(id: number): Promise<string | undefined>;
}

const schema: ServiceSchema<DbSettings, Methods> = {
	name: "note",
	mixins: [
		DbMixin({ model: noteModel, models: [noteModel], migrator: migratorOf("note"), url: () => "sqlite::memory:" })
	],
	settings: { fields: ["id", "title"], db: { url: "sqlite:./data/note.sqlite" } },
	actions: {
		create: {
			async handler(ctx: Context<NoteCreation>): Promise<string | undefined> {
				const note: NoteRow = await this.transaction(async transaction => {
					const created = await this.models.note.create(ctx.params, { transaction });
					return created.get();
				});
				const ready: true = await this.ready();
				await this.db.query(`SELECT ${ready}`);
				// @ts-expect-error There is no such column.
				await this.models.note.findOne({ where: { titel: "x" } });
				// @ts-expect-error A transaction answers what its function answers.
				const wrong: string = await this.transaction(async () => 1);
				return this.titleOf(note.id) ?? wrong;
			}
		},
		remove: false
	},
	methods: {
		async titleOf(id: number) {
			const note = await this.models.note.findByPk(id);
			// @ts-expect-error There is no such model.
			this.models.user;
			return note?.get().title;
		}
	},
	async afterConnected() {
		await this.db.query("SELECT 1");
		// @ts-expect-error There is no such model.
		this.models.user;
	},
	async beforeEntityCreate(entity: NoteCreation, ctx: Context<NoteCreation, { user_id: number }>) {
		return { ...entity, user_id: ctx.meta.user_id };
	},
	// @ts-expect-error It answers what to write.
	beforeEntityUpdate(entity: NoteCreation) {
		this.logger.info(entity.title);
	},
	async entityCreated(note: NoteRow | NoteRow[], _ctx: Context, row: Model<NoteRow>) {
		this.logger.info(note, row.get("title"), await this.titleOf(1));
	},
	entityUpdated: note => note,
	started() {
		this.logger.info(this.settings.fields?.join(), this.models.note.name);
	}
};

export default schema;
