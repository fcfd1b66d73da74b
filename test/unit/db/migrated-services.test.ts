import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
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
