import type { EtcdLink } from "./link.ts";
import type { Membership } from "./membership.ts";
import type { ServiceWeights } from "./service-weights.ts";

/** A node as tools show it. */
export interface MemberView {
	nodeID: string;
	state: "self" | "online" | "leaving" | "held" | "suspect";
	/** Milliseconds since it came up, by its own clock. */
	age: number;
	/** Id of its lease, hexadecimal as etcdctl shows it; empty without one. */
	lease: string;
	/** Revision of its key. */
	revision: number;
	services: { service: string; weight: number }[];
}

/** All members of the registry, this node first. */
export function memberViews(
	self: { nodeID: string; startedAt: number },
	link: EtcdLink,
	membership: Membership,
	weights: ServiceWeights,
	suspects: string[]
): MemberView[] {
	const now = Date.now();
	const services = (nodeID: string) =>
		weights
			.list()
			.filter(entry => entry.nodeID === nodeID)
			.map(({ service, record }) => ({ service, weight: record.weight }));
	const others = membership.records.map((record): MemberView => {
		const state = suspects.includes(record.nodeID) ? "suspect" : record.leaving ? "leaving" : "online";
		return {
			nodeID: record.nodeID,
			state: membership.isHeld(record.nodeID) ? "held" : state,
			age: now - record.startedAt,
			lease: hexadecimal(record.lease),
			revision: record.revision,
			services: services(record.nodeID)
		};
	});
	const own: MemberView = {
		nodeID: self.nodeID,
		state: "self",
		age: now - self.startedAt,
		lease: hexadecimal(link.lease),
		revision: link.revision,
		services: services(self.nodeID)
	};
	return [own, ...others.sort((one, other) => one.nodeID.localeCompare(other.nodeID))];
}

function hexadecimal(lease: string | undefined): string {
	return lease ? BigInt(lease).toString(16) : "";
}
