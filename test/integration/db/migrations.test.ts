import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, it } from "node:test";
import { QueryTypes, type Sequelize } from "sequelize";
import { acquire, type SharedConnection } from "../../../mixins/db/connection.ts";
import { MigrationError } from "../../../models/migration-error.ts";
import { applied, migrate, migratedServices, pending, rollback } from "../../../models/migrator.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { spawnNode } from "../../support/processes.ts";

/** The tables and indexes of a database, as the database describes them. */
async function structure(sequelize: Sequelize): Promise<string[]> {
	if (sequelize.getDialect() === "sqlite") {
		const rows = await sequelize.query<{ sql: string }>(
			"SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE '%_migrations' ORDER BY name",
			{ type: QueryTypes.SELECT }
		);
		return rows.map(({ sql }) => sql);
	}
	const names = (await sequelize.getQueryInterface().showAllTables()) as string[];
	const tables = names.map(name => (typeof name === "string" ? name : (name as { tableName: string }).tableName));
	return Promise.all(
		tables
			.filter(name => !name.endsWith("_migrations"))
			.sort()
			.map(async name => {
				const [row] = await sequelize.query<Record<string, string>>(`SHOW CREATE TABLE \`${name}\``, {
					type: QueryTypes.SELECT
				});
				return (row?.["Create Table"] ?? "").replace(/ AUTO_INCREMENT=\d+/, "");
			})
	);
}

/** Writes migration files into a folder of their own: name -> what `up` does. */
function migrationFiles(files: Record<string, string>): string {
	const folder = join(temporaryFolder("migrations"), "migrations");
	mkdirSync(folder);
	for (const [name, up] of Object.entries(files))
		writeFileSync(
			join(folder, `${name}.ts`),
			`export async function up(schema: object) { ${up} }\nexport async function down(schema: object) {}\n`
		);
	return folder;
}

const filesOf = (service: string) =>
	readdirSync(join(import.meta.dirname, "../../../models/migrations", service))
		.map(name => name.replace(".ts", ""))
		.sort();

const createTable = (name: string) => `await schema.createTable("${name}", { id: schema.types.id() });`;

await onEachDatabase("Migrations", databases => {
	let connection: SharedConnection;
	let sequelize: Sequelize;
	const open = async () => {
		connection = acquire(await databases.create());
		sequelize = connection.sequelize;
	};
	afterEach(() => connection.release());

	for (const service of migratedServices()) {
		it(`of the ${service} service go up, down and up again`, async () => {
			await open();
			const names = await pending(sequelize, service);
			assert.ok(names.length > 0);
			for (const name of names) assert.match(name, /^\d{4}-\d\d-\d\d-\d\d-[a-z-]+$/, "recorded without extension");

			assert.deepEqual(await migrate(sequelize, service), names);
			assert.deepEqual([await applied(sequelize, service), await pending(sequelize, service)], [names, []]);
			assert.deepEqual(await migrate(sequelize, service), [], "a second run has nothing to do");
			const built = await structure(sequelize);

			assert.deepEqual(await rollback(sequelize, service), names.slice(-1), "one by default");
			assert.deepEqual(await rollback(sequelize, service, 99), names.slice(0, -1).reverse());
			assert.deepEqual(await structure(sequelize), []);
			assert.deepEqual(await pending(sequelize, service), names);

			assert.deepEqual(await migrate(sequelize, service), names);
			assert.deepEqual(await structure(sequelize), built);
		});
	}

	it("of a service are refused in the database of another one, which stays as it was", async () => {
		await open();
		await migrate(sequelize, "user");
		const before = await structure(sequelize);
		await assert.rejects(migrate(sequelize, "note"), /The database of service 'note' is that of service 'user'/);
		assert.deepEqual(await structure(sequelize), before);
	});

	it("only look when asked what is pending", async () => {
		await open();
		await pending(sequelize, "note");
		await applied(sequelize, "note");
		assert.deepEqual(await sequelize.getQueryInterface().showAllTables(), []);
	});

	it("of a service that has none are an error, not a success", async () => {
		await open();
		await assert.rejects(async () => migrate(sequelize, "nte"), /Service 'nte' has no migrations/);
	});

	it("stop at one that fails, and say which, why, and what is left of it", async () => {
		await open();
		const folder = migrationFiles({
			"1-good": createTable("good"),
			"2-bad": `${createTable("half")} await schema.query("ALTER TABLE nowhere ADD x INT");`,
			"3-never": createTable("never")
		});
		await assert.rejects(migrate(sequelize, "note", folder), (error: MigrationError) => {
			assert.ok(error instanceof MigrationError);
			assert.equal(error.migration, "2-bad");
			assert.deepEqual(error.finished, ["1-good"]);
			assert.match(error.message, /^Migration '2-bad' \(up\) of service 'note' failed: .*nowhere/);
			assert.match(error.message, /Done before it: 1-good\.$/);
			if (databases.dialect === "sqlite") {
				assert.deepEqual(error.kept, []);
				assert.match(error.message, /It has left no trace in the database\./);
			} else {
				assert.equal(error.kept.length, 1);
				assert.match(error.kept[0] ?? "", /^CREATE TABLE IF NOT EXISTS `half`/);
				assert.match(error.message, /MySQL cannot undo what it had done before:\n\tCREATE TABLE IF NOT EXISTS `half`/);
			}
			return true;
		});

		const tables = (await structure(sequelize)).join();
		assert.match(tables, /`good`/);
		assert.doesNotMatch(tables, /`never`/);
		if (databases.dialect === "sqlite") assert.doesNotMatch(tables, /`half`/);
		assert.deepEqual(await applied(sequelize, "note", folder), ["1-good"]);
		assert.deepEqual(await pending(sequelize, "note", folder), ["2-bad", "3-never"]);
	});

	it("tell also what is left when not the database but the migration itself fails", async () => {
		await open();
		const folder = migrationFiles({ "1-bad": `${createTable("half")} throw new Error("out of ideas");` });
		await assert.rejects(migrate(sequelize, "note", folder), (error: MigrationError) => {
			assert.match(error.message, /out of ideas/);
			assert.match(error.message, /No migration was done before it\.$/);
			assert.equal(error.kept.length, databases.dialect === "sqlite" ? 0 : 1);
			return true;
		});
	});

	it("are not taken back when a newer release has applied the last one", async () => {
		await open();
		const newer = migrationFiles({ "1-old": createTable("old"), "2-new": createTable("new") });
		const older = migrationFiles({ "1-old": createTable("old") });
		await migrate(sequelize, "note", newer);
		assert.deepEqual(await pending(sequelize, "note", older), []);
		await assert.rejects(rollback(sequelize, "note", 1, older), /Migration '2-new' .* its file is not here/);
		assert.deepEqual(await applied(sequelize, "note", newer), ["1-old", "2-new"]);
	});

	it("run once each when two migrators start at the same time, in this process", async () => {
		await open();
		const both = await Promise.all([migrate(sequelize, "user"), migrate(sequelize, "user")]);
		assert.deepEqual(both.flat().sort(), await applied(sequelize, "user"));
		assert.deepEqual(await pending(sequelize, "user"), []);
	});

	it("run once each when four processes start at the same time", async () => {
		await open();
		const url = await databases.create();
		const env = { DATABASE_URL: url };
		const processes = Array.from({ length: 4 }, () => spawnNode({ args: ["scripts/migrate.ts", "up", "user"], env }));
		for (const process of processes) assert.deepEqual(await process.exited, { code: 0, signal: null }, process.output);
		const lines = processes.flatMap(process => process.lines).filter(line => line.includes("applied 20"));
		assert.deepEqual(
			lines.sort(),
			filesOf("user").map(name => `user: applied ${name}`)
		);
	});
});

await onEachDatabase("The migrate script", databases => {
	const run = async (url: string, ...args: string[]) => {
		const script = spawnNode({ args: ["scripts/migrate.ts", ...args], env: { DATABASE_URL: url } });
		const { code } = await script.exited;
		return { code, lines: script.lines };
	};
	const missing = async () => (await databases.create()).replace(/test_\d+$|\d+\.sqlite$/, "new_{service}");

	it("goes up, tells the status and goes down, per service or for all, in databases that were missing", async () => {
		const url = await missing();
		const up = await run(url, "up");
		assert.equal(up.code, 0, up.lines.join("\n"));
		const services = migratedServices();
		assert.deepEqual(
			up.lines.filter(line => !line.includes(" created ")),
			services.flatMap(service => filesOf(service).map(name => `${service}: applied ${name}`))
		);
		assert.deepEqual(
			(await run(url, "up")).lines,
			services.map(service => `${service}: nothing applied`)
		);
		const [first = "", ...others] = filesOf("user");
		assert.deepEqual(
			(await run(url, "down", String(others.length), "user")).lines,
			others.reverse().map(name => `user: taken back ${name}`)
		);
		assert.deepEqual((await run(url, "status", "note", "user")).lines, [
			...filesOf("note").map(name => `note: applied ${name}`),
			"note: nothing pending",
			`user: applied ${first}`,
			...others.reverse().map(name => `user: pending ${name}`)
		]);
	});

	for (const args of [[], ["sideways"], ["up", "nobody"], ["down", "-1"], ["down", "1.5"]]) {
		it(`explains itself and exits with 1 for: ${args.join(" ") || "nothing"}`, async () => {
			const { code, lines } = await run(await missing(), ...args);
			assert.equal(code, 1);
			assert.match(lines.join("\n"), /^Usage: node scripts\/migrate\.ts/m);
		});
	}

	it("exits with 1 and the reason when it fails", async () => {
		for (const [url, reason] of [
			["mysql://root@127.0.0.1:1/x", /ECONNREFUSED/],
			["sqlite:/dev/null/x.sqlite", /ENOTDIR|EEXIST/],
			["oracle://x", /DATABASE_URL must be a URL/]
		] as const) {
			const { code, lines } = await run(url, "up");
			assert.equal(code, 1);
			assert.match(lines.join("\n"), reason);
		}
	});
});
