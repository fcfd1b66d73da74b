/** A fenced block: its language, what else stands behind the fence (a file name, in our documents), and its text. */
export interface Fence {
	language: string;
	file: string;
	text: string;
}

/**
 * The part of a Markdown text under a heading, up to the next heading of the same or a higher level.
 * @throws Error where there is no such heading
 */
export function section(markdown: string, heading: string): string {
	const lines = markdown.split("\n");
	const begin = lines.indexOf(heading);
	if (begin === -1) throw new Error(`There is no heading "${heading}"`);
	const level = heading.indexOf(" ");
	const rest = lines.slice(begin + 1);
	const end = rest.findIndex(line => /^#+ /.test(line) && line.indexOf(" ") <= level);
	return rest.slice(0, end === -1 ? undefined : end).join("\n");
}

/** The fenced blocks of a Markdown text, in order. */
export function fences(markdown: string): Fence[] {
	return [...markdown.matchAll(/^```(\w*) ?(.*)\n([\s\S]*?)^```$/gm)].map(
		([, language = "", file = "", text = ""]) => ({
			language,
			file,
			text
		})
	);
}
