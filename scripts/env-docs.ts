/** `npm run docs:env`: writes the variables of lib/env.ts into README.md and .env.example, below their markers. */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { variables } from "../lib/env.ts";

interface Documented {
	fallback: unknown;
	about: string;
}

const rows = Object.entries(variables as Record<string, Documented>).map(([name, { fallback, about }]) => ({
	name,
	fallback: String(fallback),
	about
}));

/** A document that shows the variables between two markers, or from one to its end. */
interface Document {
	begin: string;
	end?: string;
	render: () => string;
}

/** The documents that show the variables, by file. */
export const documents: Record<string, Document> = {
	"README.md": { begin: "<!-- variables -->\n", end: "<!-- /variables -->", render: table },
	".env.example": { begin: "# --- Variables of lib/env.ts ---\n", render: example }
};

/** The variables as a Markdown table. */
export function table(): string {
	const lines = rows.map(
		({ name, fallback, about }) => `| \`${name}\` | ${fallback && `\`${fallback}\``} | ${about} |`
	);
	return ["| variable | default | meaning |", "| --- | --- | --- |", ...lines, ""].join("\n");
}

/** The variables as an environment file that sets every default. */
export function example(): string {
	return rows.map(({ name, fallback, about }) => `\n# ${about}\n${name}=${fallback}\n`).join("");
}

/**
 * Puts the variables in their place in a document's text.
 * @throws Error where a marker is missing
 */
export function withVariables(text: string, { begin, end, render }: Document): string {
	const from = text.indexOf(begin) + begin.length;
	const to = end === undefined ? text.length : text.indexOf(end, from);
	if (from < begin.length || to === -1) throw new Error(`A marker is missing: ${begin.trim()}`);
	return text.slice(0, from) + render() + text.slice(to);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
	for (const [file, document] of Object.entries(documents))
		writeFileSync(file, withVariables(readFileSync(file, "utf8"), document));
