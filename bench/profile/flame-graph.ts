/** The parts of a `.cpuprofile` that are needed. */
export interface CpuProfile {
	nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[];
	/** Ids of the innermost nodes, one a sample. */
	samples: number[];
	/** Microseconds of a clock that runs since the machine was started. */
	startTime: number;
	/** Microseconds before each sample. */
	timeDeltas: number[];
}

export interface FlameGraphOptions {
	title: string;
	/** Frames with a smaller share of the whole are left out, 0.002 by default. */
	least?: number | undefined;
	/** What was sampled before is left out, e.g. the start of a process; in microseconds of the profile's clock. */
	from?: number | undefined;
}

/** A function, called from one place. */
interface Frame {
	name: string;
	/** Where its code is from, which gives the colour. */
	origin: keyof typeof COLOURS;
	place: string;
	/** Microseconds, with what it called. */
	time: number;
	callees: Map<string, Frame>;
}

const COLOURS = { ours: "#f2a03d", package: "#8fb8de", node: "#9ccc9c", v8: "#c9c9c9" };
const WIDTH = 1200;
const ROW = 16;
const LETTER = 6.6;
/** Time in which nothing ran. */
const IDLE = new Set(["(idle)", "(program)"]);

/** Draws a CPU profile as a flame graph: a frame is as wide as its share of the CPU time, callees stand on their caller. */
export function flameGraph(profile: CpuProfile, { title, least = 0.002, from = 0 }: FlameGraphOptions): string {
	const root = callTree(profile, from);
	const rectangles: string[] = [];
	let height = 0;
	const draw = (frame: Frame, x: number, depth: number) => {
		height = Math.max(height, depth + 1);
		rectangles.push(rectangle(frame, x, depth, root.time));
		let left = x;
		for (const callee of [...frame.callees.values()].sort((a, b) => a.name.localeCompare(b.name))) {
			if (callee.time / root.time >= least) draw(callee, left, depth + 1);
			left += (callee.time / root.time) * WIDTH;
		}
	};
	draw(root, 0, 0);

	const legend = Object.entries(COLOURS).map(
		([origin, colour], i) => `<tspan x="${WIDTH - 280 + i * 70}" fill="${colour}">■ ${origin}</tspan>`
	);
	const heading = `${title}: ${(root.time / 1e6).toFixed(1)} s of CPU time; frames under ${least * 100} % left out`;
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${(height + 2) * ROW}" font-family="monospace" font-size="11">`,
		`<title>${escaped(heading)}</title>`,
		`<style>rect{stroke:#fff;stroke-width:.5}g:hover rect{opacity:.7}text{pointer-events:none}</style>`,
		`<rect width="100%" height="100%" fill="#fff"/><text x="4" y="13">${escaped(heading)} ${legend.join("")}</text>`,
		// The first frame is the lowest.
		`<g transform="translate(0 ${(height + 1) * ROW})">${rectangles.join("\n")}</g></svg>`
	].join("\n");
}

/** Adds the samples up from the outermost function to the innermost; alike calls from one place are one frame. */
function callTree({ nodes, samples, startTime, timeDeltas }: CpuProfile, from: number): Frame {
	const times = new Map<number, number>();
	for (let i = 0, now = startTime; i < samples.length; i++) {
		const [id, time] = [samples[i] as number, timeDeltas[i] as number];
		now += time;
		if (now >= from) times.set(id, (times.get(id) ?? 0) + Math.max(0, time));
	}
	const byId = new Map(nodes.map(node => [node.id, node]));
	const add = (into: Frame, { id, callFrame, children = [] }: CpuProfile["nodes"][number]) => {
		const before = into.callees;
		const frame = frameOf(callFrame);
		if (IDLE.has(frame.name)) return;
		const key = `${frame.name} ${frame.place}`;
		const known = before.get(key) ?? frame;
		before.set(key, known);
		const earlier = known.time;
		known.time += times.get(id) ?? 0;
		for (const child of children) add(known, byId.get(child) as CpuProfile["nodes"][number]);
		into.time += known.time - earlier;
	};
	const all: Frame = { name: "all", origin: "v8", place: "", time: 0, callees: new Map() };
	for (const child of nodes[0]?.children ?? []) add(all, byId.get(child) as CpuProfile["nodes"][number]);
	return all;
}

function frameOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): Frame {
	const path = url.replace(/^file:\/\//, "").replace(`${process.cwd()}/`, "");
	const [, inPackage] = /.*node_modules\/(.+)$/.exec(path) ?? [];
	const origin = inPackage ? "package" : url.startsWith("node:") ? "node" : url ? "ours" : "v8";
	const place = url ? `${inPackage ?? path}:${lineNumber + 1}` : "";
	return { name: functionName || "(anonymous)", origin, place, time: 0, callees: new Map() };
}

function rectangle({ name, origin, place, time }: Frame, x: number, depth: number, all: number): string {
	const share = time / all;
	const width = share * WIDTH;
	const letters = Math.floor((width - 4) / LETTER);
	const y = -depth * ROW - ROW;
	const label =
		letters > 2 ? `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escaped(name.slice(0, letters))}</text>` : "";
	return `<g><title>${escaped(name)} ${(share * 100).toFixed(1)} % ${escaped(place)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW}" fill="${COLOURS[origin]}"/>${label}</g>`;
}

function escaped(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
