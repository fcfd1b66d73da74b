import type { SpanTree } from "./jaeger-collector.ts";

const BAR_WIDTH = 40;

/** A trace as text: one line a span, indented by depth, with its node, its time and where that lies in the whole. */
export function printTree(root: SpanTree): string {
	const rows: { name: string; node: string; time: string; bar: string; note: string }[] = [];
	const add = (span: SpanTree, depth: number) => {
		rows.push({
			name: `${"  ".repeat(depth)}${span.name}`,
			node: String(span.process["node.id"]),
			time: `${(span.duration / 1000).toFixed(1)} ms`,
			bar: barOf(span, root),
			note: noteOf(span)
		});
		for (const child of span.children) add(child, depth + 1);
	};
	add(root, 0);

	const width = (column: "name" | "node" | "time") => Math.max(...rows.map(row => row[column].length));
	const [names, nodes, times] = [width("name"), width("node"), width("time")];
	return rows
		.map(({ name, node, time, bar, note }) =>
			`${name.padEnd(names)}  ${node.padEnd(nodes)}  ${time.padStart(times)}  ${bar}  ${note}`.trimEnd()
		)
		.join("\n");
}

function barOf({ start, duration }: SpanTree, root: SpanTree): string {
	const scale = BAR_WIDTH / root.duration;
	const from = Math.min(BAR_WIDTH - 1, Math.max(0, Math.round((start - root.start) * scale)));
	const length = Math.max(1, Math.min(BAR_WIDTH - from, Math.round(duration * scale)));
	return `${" ".repeat(from)}${"━".repeat(length)}`.padEnd(BAR_WIDTH);
}

function noteOf({ tags }: SpanTree): string {
	if (tags["db.statement"]) return `${tags["db.rows"]} ${tags["db.rows"] === 1 ? "row" : "rows"}`;
	if (tags["http.status_code"]) return `status ${tags["http.status_code"]}`;
	return tags.error ? String(tags["error.type"] ?? "failed") : "";
}
