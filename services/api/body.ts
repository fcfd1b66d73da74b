import type { IncomingMessage, ServerResponse } from "node:http";
import { MIMEType } from "node:util";
import bodyParser from "body-parser";
import { apiError } from "./api.contract.ts";
import { type Params, urlencodedFields } from "./params.ts";

type BodyKind = "json" | "form";

/** The largest legal note is 64 KiB of text, which JSON may escape to six times as much. */
const BODY_LIMIT = 512 * 1024;

const kinds: Readonly<Record<string, BodyKind>> = {
	"application/json": "json",
	"application/x-www-form-urlencoded": "form"
};

const readBytes = bodyParser.raw({ type: () => true, limit: BODY_LIMIT, inflate: false });
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Refuses a body that a route does not take, before anything reads it.
 * @throws UNSUPPORTED_MEDIA_TYPE, NEITHER_JSON_NOR_FORM, BODY_TOO_LARGE
 */
export function checkBody(req: Pick<IncomingMessage, "headers">, route: { form?: true }): void {
	const kind = kindOf(req);
	if (hasBody(req) && kind !== "json" && !(kind === "form" && route.form))
		throw apiError(route.form ? "NEITHER_JSON_NOR_FORM" : "UNSUPPORTED_MEDIA_TYPE");
	// body-parser reads all of it before it says so.
	if (lengthOf(req) > BODY_LIMIT) throw apiError("BODY_TOO_LARGE");
}

/** Middleware that puts the fields of the body into `req.body`. Its refusals tell nothing of what the body holds. */
export function readBody(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void {
	const read = req as IncomingMessage & { body?: unknown };
	if (!hasBody(req)) {
		read.body = {};
		next();
		return;
	}
	readBytes(req, res, (error?: unknown) => {
		try {
			if (error) throw refusalOf(error as { status?: unknown });
			const bytes = read.body as Buffer | undefined;
			read.body = bytes?.length ? fieldsOf(bytes, kindOf(req)) : {};
			next();
		} catch (refusal) {
			next(refusal);
		}
	});
}

/** RFC 9112 section 6.3. */
function hasBody(req: Pick<IncomingMessage, "headers">): boolean {
	return req.headers["transfer-encoding"] !== undefined || lengthOf(req) > 0;
}

function lengthOf({ headers }: Pick<IncomingMessage, "headers">): number {
	return Number(headers["content-length"] ?? 0);
}

/** What the body is said to be; undefined for anything that is not taken, such as another charset. */
function kindOf({ headers }: Pick<IncomingMessage, "headers">): BodyKind | undefined {
	const type = headers["content-type"];
	// What nearly all requests say; reading it as a MIME type costs more than the rest of this file.
	if (type === undefined || type === "application/json") return type && "json";
	try {
		const { essence, params } = new MIMEType(type);
		return /^utf-?8$/i.test(params.get("charset") ?? "utf-8") ? kinds[essence] : undefined;
	} catch {
		return undefined;
	}
}

function fieldsOf(bytes: Buffer, kind: BodyKind | undefined): Params {
	const text = decoded(bytes);
	if (kind === "form") return urlencodedFields(text);
	const value = parsed(text);
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw apiError("BODY_NOT_AN_OBJECT");
	return value as Params;
}

function decoded(bytes: Buffer): string {
	try {
		return utf8.decode(bytes);
	} catch {
		throw apiError("BODY_NOT_UTF8");
	}
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		// The parser's own message quotes the body, which may hold a password.
		throw apiError("BODY_NOT_JSON");
	}
}

/** A failure of body-parser in our words. */
function refusalOf({ status }: { status?: unknown }): Error {
	if (status === 413) return apiError("BODY_TOO_LARGE");
	return apiError(status === 415 ? "UNSUPPORTED_CONTENT_ENCODING" : "BODY_INCOMPLETE");
}
