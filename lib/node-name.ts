import { hostname } from "node:os";
import { basename } from "node:path";
import type { Env } from "./env.ts";

/**
 * The name of a node in the mesh: NODE_NAME, else one that is unique among containers, machines and processes.
 * @param pid process of the node; 1 in a container
 */
export function nodeName(env: Pick<Env, "NODE_NAME" | "SERVICEDIR">, pid = process.pid): string {
	return env.NODE_NAME || `${hostname()}-${basename(env.SERVICEDIR).replace(/[\s*>]/g, "-")}-${pid}`;
}
