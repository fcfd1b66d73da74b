import { createHash } from "node:crypto";
import type { Context } from "moleculer";

/** Finds whose call it is and what the client calls it. */
export type KeyOf = (ctx: Context) => { owner: string; key: string } | undefined;

/** What stands for a text in the table: of one length, whatever a client sends. */
export function hashOf(text: string): string {
	return createHash("sha256").update(text).digest("base64url");
}

const PLAIN = /^[!-}]([ -~]{0,62}[!-~])?$/;

/**
 * An owner as it is stored: as it is where the column can hold and tell it. MySQL takes no other than ASCII characters there,
 * and pads what it compares, so that `a` and `a ` would be one owner.
 */
export function ownerOf(owner: string): string {
	return PLAIN.test(owner) ? owner : `~${hashOf(owner)}`;
}

/** What tells one request from another: action and parameters, in whatever order the fields come. */
export function fingerprintOf({ action, params }: Pick<Context, "action" | "params">): string {
	return hashOf(JSON.stringify([action?.name, params], sorted));
}

function sorted(_name: string, value: unknown): unknown {
	const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
	return isRecord ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
}
