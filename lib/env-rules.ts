import { accessSync, constants, statSync } from "node:fs";
import { createRequire } from "node:module";

/** One variable of the environment. */
export interface Variable<T> {
	/** Parses the raw text. @throws with the rule that the text breaks */
	parse: (raw: string) => T;
	/** Used where the variable is unset or empty. */
	fallback: T;
	/** One line for the README and `.env.example`. */
	about: string;
}

export const string = (fallback: string, about: string): Variable<string> => ({ parse: raw => raw, fallback, about });

/** What may be a part of the names of keys, subjects and streams. */
export const word = (about: string): Variable<string> => ({
	parse: raw => {
		if (!/^[\w-]{1,32}$/.test(raw)) throw new Error("must be at most 32 letters, digits, - and _");
		return raw;
	},
	fallback: "",
	about
});

/** The name of a node: a part of NATS subjects, in which a blank breaks the connection of whoever sends to it. */
export const nodeNameRule = (about: string): Variable<string> => ({
	parse: raw => {
		if (!/^[^\s\p{Cc}*>]{1,128}$/u.test(raw))
			throw new Error("must be at most 128 characters, no blank, * or > among them");
		return raw;
	},
	fallback: "",
	about
});

/** `host` or `host:port`. */
export const hostAndPort = (about: string): Variable<string> => ({
	parse: raw => {
		const [, port = "1"] = /^[^\s:/@]+(?::(\d{1,5}))?$/.exec(raw) ?? [undefined, "none"];
		if (!(Number(port) >= 1 && Number(port) <= 65_535)) throw new Error("must be host:port");
		return raw;
	},
	fallback: "",
	about
});

/** Servers as `host:port`, or URLs of http or https without a name and password. */
export const endpoints = (about: string): Variable<string[]> => ({
	parse: raw =>
		splitList(raw).map(item => {
			const url = URL.parse(/^\w+:\/\//.test(item) ? item : `http://${item}`);
			if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.pathname !== "/")
				throw new Error(
					"must be a list of host:port, or of URLs such as https://host:2379, without a name and password"
				);
			return item;
		}),
	fallback: [],
	about
});

export const integer = (fallback: number, min: number, max: number, about: string): Variable<number> => ({
	parse: raw => {
		const value = Number(raw);
		if (!Number.isInteger(value) || value < min || value > max)
			throw new Error(`must be an integer from ${min} to ${max}`);
		return value;
	},
	fallback,
	about
});

export const notNegative = (fallback: number, about: string): Variable<number> => ({
	parse: raw => {
		const value = Number(raw);
		if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new Error("must be a number of at least 0");
		return value;
	},
	fallback,
	about
});

export const oneOf = <const T extends string>(values: readonly T[], fallback: T, about: string): Variable<T> => ({
	parse: raw => {
		const value = values.find(candidate => candidate === raw);
		if (value === undefined) throw new Error(`must be one of ${values.filter(Boolean).join(", ")}`);
		return value;
	},
	fallback,
	about
});

export const url = (protocols: readonly string[], fallback: string, about: string): Variable<string> => ({
	parse: raw => {
		checkUrl(raw, protocols);
		return raw;
	},
	fallback,
	about
});

/** Several URLs, separated by commas, kept as the text that they are. */
export const urls = (protocols: readonly string[], about: string): Variable<string> => ({
	parse: raw => {
		for (const item of raw.split(",")) checkUrl(item.trim(), protocols);
		return raw;
	},
	fallback: "",
	about
});

/** Says nothing of the text itself: a password may stand in it, which `new URL` would put into its error. */
function checkUrl(raw: string, protocols: readonly string[]): void {
	const protocol = /^([a-z0-9+]+):/.exec(raw)?.[1];
	if (!protocol || !protocols.includes(protocol))
		throw new Error(`must be a URL starting with ${protocols.join(": or ")}:`);
	if (protocol !== "sqlite" && !isUsable(raw))
		throw new Error("must be a URL with a host; #, /, ? and % in a password are written %23, %2F, %3F and %25");
}

function isUsable(raw: string): boolean {
	try {
		const { host, hash, username, password, pathname, search } = new URL(raw);
		// Whoever connects decodes these two, and fails where a % begins no code.
		decodeURIComponent(username + password);
		// An @ behind the host is the one before it, of a password such as `12/x`, whose beginning passes for a port.
		return host !== "" && hash === "" && !(pathname + search).includes("@");
	} catch {
		return false;
	}
}

/** Browser origins as they stand in an `Origin` header, compared character by character: no wildcards, no paths. */
export const origins = (about: string): Variable<string[]> => ({
	parse: raw =>
		splitList(raw).map(item => {
			if (item.includes("*") || !URL.canParse(item) || new URL(item).origin !== item)
				throw new Error("must be a list of origins such as https://notes.example.com, without a path or a wildcard");
			return item;
		}),
	fallback: [],
	about
});

export const proxies = (about: string): Variable<string[]> => ({
	parse: raw =>
		splitList(raw).map(item => {
			if (!isProxy(item))
				throw new Error(
					"must be a list of addresses, ranges such as 10.0.0.0/8 (but not /0), or loopback, linklocal, uniquelocal"
				);
			return item;
		}),
	fallback: [],
	about
});

/** Whether `proxy-addr` takes it, which is what uses it. */
function isProxy(item: string): boolean {
	// To `proxy-addr` a number is an address; elsewhere it is how many proxies there are.
	if (/^\d+(\/|$)/.test(item)) return false;
	// Loaded where it is used: other processes start earlier.
	const { compile } = createRequire(import.meta.url)("proxy-addr") as typeof import("proxy-addr");
	try {
		compile(item);
		return true;
	} catch {
		return false;
	}
}

/** The path of a file that this process can read. */
export const file = (about: string): Variable<string> => ({
	parse: raw => {
		try {
			accessSync(raw, constants.R_OK);
			if (!statSync(raw).isFile()) throw new Error("A folder");
		} catch {
			throw new Error("must be the path of a file that can be read");
		}
		return raw;
	},
	fallback: "",
	about
});

function splitList(raw: string): string[] {
	return raw
		.split(",")
		.map(item => item.trim())
		.filter(Boolean);
}

/** A key and its name: the first of a list is used, all are known, so that keys can be rotated. */
export interface NamedKey {
	name: string;
	secret: string;
}

/** 256 bits, the minimum that RFC 7518 section 3.2 asks for HS256. */
export const MIN_SECRET_BYTES = 32;

export const namedKeys = (about: string): Variable<NamedKey[]> => ({
	parse: raw => {
		const keys = raw.split(",").map(entry => {
			const [name = "", ...rest] = entry.trim().split(":");
			const secret = rest.join(":");
			if (!name || !secret) throw new Error("must be a list of name:secret, separated by commas");
			if (Buffer.byteLength(secret) < MIN_SECRET_BYTES)
				throw new Error(`needs secrets of at least ${MIN_SECRET_BYTES} bytes (key "${name}" is shorter)`);
			return { name, secret };
		});
		if (new Set(keys.map(({ name }) => name)).size < keys.length) throw new Error("must not name a key twice");
		return keys;
	},
	fallback: [],
	about
});
