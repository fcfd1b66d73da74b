// Draws CPU profiles as flame graphs: `npm run flame-graph -- <.cpuprofile or folder>...`; see README.md.
import { parseArgs } from "node:util";
import { drawProfiles } from "./draw.ts";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		/** Per cent: smaller frames are left out. */
		least: { type: "string", default: "0.2" }
	}
});
if (positionals.length === 0) throw new Error("Give a .cpuprofile, or a folder of them");
const least = Number(values.least) / 100;
for (const path of positionals) for (const file of await drawProfiles(path, { least })) console.log(file);
