import type { StoredNode } from "./keys.ts";

/** What has to happen in the broker's registry. */
export type Change =
	/** A node that was not there. */
	| { type: "add"; record: StoredNode }
	/** News from a known instance. */
	| { type: "update"; record: StoredNode }
	/** The node was restarted: what the old instance was asked will never be answered. */
	| { type: "replace"; record: StoredNode; previous: StoredNode }
	| { type: "remove"; record: StoredNode }
	/** The node's key is gone, but that may be etcd's fault: the node stays for now. */
	| { type: "hold"; record: StoredNode }
	/** A newer process uses this node's id. */
	| { type: "superseded"; record: StoredNode };

interface Member {
	record: StoredNode;
	absent: boolean;
}

/**
 * Decides who is a member, from what etcd says and a clock; it knows neither etcd nor moleculer.
 *
 * One instance per node id counts, the newest. During an outage of etcd and for `holdTime` after it, nobody is removed:
 * all leases may have expired together, and the nodes need a moment to come back.
 */
export class Membership {
	readonly #self: { nodeID: string; instanceID: string; born: number };
	readonly #holdTime: number;
	readonly #members = new Map<string, Member>();
	#outage = false;
	#holdUntil = 0;

	/** @param holdTime milliseconds: the leases' TTL and a margin */
	constructor(self: { nodeID: string; instanceID: string }, holdTime: number) {
		this.#self = { ...self, born: 0 };
		this.#holdTime = holdTime;
	}

	/** Revision at which this instance came up; until it is known, every other instance of the node id is newer. */
	set born(revision: number) {
		this.#self.born = revision;
	}

	get born(): number {
		return this.#self.born;
	}

	/** All known members, the held ones included, without this node. */
	get records(): StoredNode[] {
		return [...this.#members.values()].map(member => member.record);
	}

	get(nodeID: string): StoredNode | undefined {
		return this.#members.get(nodeID)?.record;
	}

	isHeld(nodeID: string): boolean {
		return this.#members.get(nodeID)?.absent ?? false;
	}

	/** Number of members whose key is absent and who are kept for now. */
	get heldCount(): number {
		return [...this.#members.values()].filter(member => member.absent).length;
	}

	/** When the hold ends, in milliseconds of the caller's clock; undefined while nobody is held or etcd is away. */
	get holdEnds(): number | undefined {
		return !this.#outage && this.heldCount > 0 ? this.#holdUntil : undefined;
	}

	/** A node's key was written. */
	put(record: StoredNode): Change[] {
		if (record.nodeID === this.#self.nodeID) {
			if (record.instanceID === this.#self.instanceID || !isNewer(record, this.#self)) return [];
			return [{ type: "superseded", record }];
		}

		const member = this.#members.get(record.nodeID);
		if (!member) {
			this.#members.set(record.nodeID, { record, absent: false });
			return [{ type: "add", record }];
		}
		const previous = member.record;
		const sameInstance = record.instanceID === previous.instanceID;
		if (!sameInstance && !isNewer(record, previous)) return [];

		this.#members.set(record.nodeID, { record, absent: false });
		return [sameInstance ? { type: "update", record } : { type: "replace", record, previous }];
	}

	/** A node's key was deleted. News about an instance that was replaced in the meantime is ignored. */
	delete(nodeID: string, instanceID: string, now: number): Change[] {
		const member = this.#members.get(nodeID);
		if (member?.record.instanceID !== instanceID) return [];
		return this.#lose(member, now);
	}

	/**
	 * All node keys as of now; whoever is not among them has lost its key unseen. After the hold, this is the second
	 * look that decides about the held ones.
	 */
	snapshot(records: StoredNode[], now: number): Change[] {
		const changes = records.flatMap(record => this.put(record));
		const present = new Set(records.map(record => `${record.nodeID}/${record.instanceID}`));
		const lost = [...this.#members.values()].filter(
			({ record }) => !present.has(`${record.nodeID}/${record.instanceID}`)
		);
		return [...changes, ...lost.flatMap(member => this.#lose(member, now))];
	}

	/** etcd cannot be reached. */
	outageBegan(): void {
		this.#outage = true;
	}

	/** etcd is back: from now on the nodes have `holdTime` to come back, too. */
	outageEnded(now: number): void {
		if (!this.#outage) return;
		this.#outage = false;
		this.distrust(now);
	}

	/** etcd has lost data: an absent key means nothing for `holdTime`. */
	distrust(now: number): void {
		this.#holdUntil = now + this.#holdTime;
	}

	#lose(member: Member, now: number): Change[] {
		if (!this.#isHolding(now) || member.record.leaving) return this.#remove(member);
		if (member.absent) return [];
		this.#members.set(member.record.nodeID, { ...member, absent: true });
		return [{ type: "hold", record: member.record }];
	}

	#remove({ record }: Member): Change[] {
		this.#members.delete(record.nodeID);
		return [{ type: "remove", record }];
	}

	#isHolding(now: number): boolean {
		return this.#outage || now < this.#holdUntil;
	}
}

// Instances born at the same revision started before either was registered; then the greater id wins, for all alike.
function isNewer(one: { born: number; instanceID: string }, other: { born: number; instanceID: string }): boolean {
	return one.born !== other.born ? one.born > other.born : one.instanceID > other.instanceID;
}
