/** Keys whose values are never logged, wherever they stand. */
const SECRET = /passw|secret|token|authorization|cookie|jwt|hash|credential|api[-_]?key|signing/i;
const REDACTED = "[redacted]";

const MAX_DEPTH = 6;
/** Items of a list and keys of an object that are shown. */
const MAX_WIDTH = 100;

/**
 * A copy of a value for the log: without the values of secret keys, URLs without name and password, errors as plain
 * objects, and cut off where it is deep or wide. Texts stay as they are: what may be secret must not be put into one.
 */
export function redacted(value: unknown): unknown {
	return copy(value, 0, new Set());
}

function copy(value: unknown, depth: number, above: ReadonlySet<object>): unknown {
	if (typeof value === "bigint") return String(value);
	if (typeof value !== "object" || value === null) return typeof value === "function" ? undefined : value;
	if (value instanceof Date) return value;
	if (value instanceof URL) return Object.assign(new URL(value), { username: "", password: "" });
	if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
	if (above.has(value)) return "[circular]";
	if (depth === MAX_DEPTH) return Array.isArray(value) ? "[list]" : "[object]";

	const path = new Set(above).add(value);
	if (Array.isArray(value)) return value.slice(0, MAX_WIDTH).map(item => copy(item, depth + 1, path));
	const entries = value instanceof Error ? errorEntries(value) : Object.entries(value);
	return Object.fromEntries(
		entries
			.slice(0, MAX_WIDTH)
			.map(([key, item]) => [key, SECRET.test(key) && item != null ? REDACTED : copy(item, depth + 1, path)])
	);
}

/** What an error says of itself, and what moleculer and databases add to it. */
function errorEntries(error: Error): [string, unknown][] {
	const { name, message, stack, cause } = error;
	// The text that is no URL may hold a password.
	const unsaid = "code" in error && error.code === "ERR_INVALID_URL" ? ["input", "base"] : [];
	const leftOut = ["name", "message", "stack", "cause", "ctx", ...unsaid];
	const own = Object.entries(error).filter(([key]) => !leftOut.includes(key));
	return [
		["name", name],
		["message", message],
		["stack", stack],
		...own,
		...(cause === undefined ? [] : ([["cause", cause]] as [string, unknown][]))
	];
}
