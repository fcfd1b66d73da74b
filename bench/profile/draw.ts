import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type CpuProfile, flameGraph } from "./flame-graph.ts";

const PROFILE = ".cpuprofile";

export interface DrawOptions {
	/** Frames with a smaller share of the whole are left out. */
	least?: number;
	/** Samples before this time are left out, in microseconds of the clock that {@link monotonicNow} reads. */
	from?: number;
}

/** The clock of profiles, which all processes of a machine share, in microseconds. */
export function monotonicNow(): number {
	return Number(process.hrtime.bigint() / 1000n);
}

/**
 * Writes a flame graph beside each CPU profile.
 * @param path of a profile, or of a folder with profiles
 * @returns the files written
 */
export async function drawProfiles(path: string, { least, from }: DrawOptions = {}): Promise<string[]> {
	const isFolder = (await stat(path)).isDirectory();
	const profiles = isFolder ? (await readdir(path)).map(name => join(path, name)) : [path];
	return Promise.all(
		profiles
			.filter(file => file.endsWith(PROFILE))
			.map(async file => {
				const profile = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
				const drawing = `${file.slice(0, -PROFILE.length)}.svg`;
				await writeFile(drawing, flameGraph(profile, { title: basename(file, PROFILE), least, from }));
				return drawing;
			})
	);
}
