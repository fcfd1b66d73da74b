import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { migratedServices } from "../../../models/migrator.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";

it("The services that have migrations are folders, and not the files beside them", () => {
	const folder = temporaryFolder("migrations");
	for (const service of ["user", "note"]) mkdirSync(join(folder, service));
	for (const file of [".DS_Store", "README.md"]) writeFileSync(join(folder, file), "");
	assert.deepEqual(migratedServices(folder), ["note", "user"]);
});

it("All of them are in each loop of docs/operations.md that backs up or restores, the audit log first and users last", () => {
	const loops = [...readFileSync("docs/operations.md", "utf8").matchAll(/^for service in (.*); do/gm)];
	assert.equal(loops.length, 4);
	for (const [, names = ""] of loops) {
		const services = names.split(" ");
		assert.deepEqual([services[0], services.at(-1)], ["audit", "user"]);
		assert.deepEqual(services.sort(), migratedServices());
	}
});
