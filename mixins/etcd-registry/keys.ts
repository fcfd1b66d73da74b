import { gunzipSync, gzipSync } from "node:zlib";

const MAX_VALUE_BYTES = 16 * 1024 * 1024;
const GZIP_MAGIC = 0x1f;

/** A node's entry in the registry: the value of `nodes/<nodeID>/<instanceID>`. */
export interface NodeRecord {
	nodeID: string;
	instanceID: string;
	/** etcd's revision when this instance first came up. The instance with the higher one is the newer. */
	born: number;
	/** When the instance came up, in epoch milliseconds of its own clock. */
	startedAt: number;
	/** The node has withdrawn and finishes its last requests. */
	leaving: boolean;
	/** moleculer's INFO: services with actions and events, metadata, addresses, `seq`. */
	info: NodeInfo;
}

/** A node's record and where it stands in etcd. */
export interface StoredNode extends NodeRecord {
	lease: string;
	revision: number;
}

export interface NodeInfo extends Record<string, unknown> {
	services: Record<string, unknown>[];
	seq: number;
}

/** One service on one node, for people and foreign tools: the value of `services/<service>[.<version>]/<nodeID>`. */
export interface ServiceRecord {
	node: string;
	host: string;
	port?: number;
	version?: string | number;
	/** Share of the calls relative to the other nodes; 0 takes the node out. */
	weight: number;
	metadata: Record<string, unknown>;
}

/** What a key under the registry's prefix stands for. */
export type ParsedKey =
	| { kind: "node"; nodeID: string; instanceID: string }
	| { kind: "service"; service: string; nodeID: string };

/** Builds and reads the keys of one mesh (prefix and namespace). */
export class KeyLayout {
	/** What all keys of this mesh start with; ends with a slash. */
	readonly root: string;

	constructor(prefix: string, namespace: string) {
		this.root = `${prefix}${namespace ? `-${encodeURIComponent(namespace)}` : ""}/`;
	}

	node(nodeID: string, instanceID: string): string {
		return `${this.root}nodes/${encodeURIComponent(nodeID)}/${encodeURIComponent(instanceID)}`;
	}

	/** @param service as `serviceKeyName` returns it */
	service(service: string, nodeID: string): string {
		return `${this.root}services/${encodeURIComponent(service)}/${encodeURIComponent(nodeID)}`;
	}

	/** Returns undefined for a key that is none of ours. */
	parse(key: string): ParsedKey | undefined {
		if (!key.startsWith(this.root)) return undefined;
		const [kind, first, second, ...more] = key.slice(this.root.length).split("/").map(decodePart);
		if (!first || !second || more.length > 0) return undefined;
		if (kind === "nodes") return { kind: "node", nodeID: first, instanceID: second };
		if (kind === "services") return { kind: "service", service: first, nodeID: second };
		return undefined;
	}
}

/** Name of a service in the key space: `note`, or `note.v2` for version 2, `note.beta` for version "beta". */
export function serviceKeyName(name: string, version?: string | number | null): string {
	if (version === undefined || version === null || version === "") return name;
	return `${name}.${typeof version === "number" ? `v${version}` : version}`;
}

/** Serializes a record; gzipped when the JSON has `compressFrom` bytes or more. */
export function encodeNode(record: NodeRecord, compressFrom: number): Buffer {
	const json = Buffer.from(JSON.stringify(record));
	return json.length >= compressFrom ? gzipSync(json) : json;
}

/** @throws Error when the value is not a node record, or not the one its key names */
export function decodeNode(value: Buffer, nodeID: string, instanceID: string): NodeRecord {
	const record = parseObject(value) as Partial<NodeRecord>;
	if (record.nodeID !== nodeID || record.instanceID !== instanceID) throw new Error("does not match its key");
	if (!isRecord(record.info) || !Array.isArray(record.info.services)) throw new Error("has no list of services");
	if (!record.info.services.every(isRecord)) throw new Error("has a service that is no object");
	return {
		nodeID,
		instanceID,
		born: Number.isSafeInteger(record.born) ? (record.born as number) : 0,
		startedAt: Number.isFinite(record.startedAt) ? (record.startedAt as number) : 0,
		leaving: record.leaving === true,
		info: record.info as NodeInfo
	};
}

export function encodeService(record: ServiceRecord): Buffer {
	return Buffer.from(JSON.stringify(record));
}

/** @throws Error when the value is no service record or its weight no number of 0 or more */
export function decodeService(value: Buffer): ServiceRecord {
	const record = parseObject(value) as Partial<ServiceRecord>;
	if (!isWeight(record.weight)) throw new Error(`has the weight ${JSON.stringify(record.weight)}`);
	return {
		...record,
		node: String(record.node ?? ""),
		host: String(record.host ?? ""),
		weight: record.weight,
		metadata: isRecord(record.metadata) ? record.metadata : {}
	};
}

export function isWeight(weight: unknown): weight is number {
	return typeof weight === "number" && Number.isFinite(weight) && weight >= 0;
}

function parseObject(value: Buffer): Record<string, unknown> {
	const json = value[0] === GZIP_MAGIC ? gunzipSync(value, { maxOutputLength: MAX_VALUE_BYTES }) : value;
	const parsed: unknown = JSON.parse(json.toString("utf8"));
	if (!isRecord(parsed)) throw new Error("is no JSON object");
	return parsed;
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function decodePart(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		return "";
	}
}
