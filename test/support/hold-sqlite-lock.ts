import { DatabaseSync } from "node:sqlite";

/** Another process at work: takes the write lock of the file it is given, says so, and commits at SIGTERM. */
const [filename = ""] = process.argv.slice(2);
const database = new DatabaseSync(filename);
database.exec("BEGIN IMMEDIATE");
const alive = setInterval(() => {}, 60_000);
process.once("SIGTERM", () => {
	database.exec("COMMIT");
	database.close();
	clearInterval(alive);
});
console.log("locked");
