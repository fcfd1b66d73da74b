import type { IEvent } from "etcd3";
import { prefixEnd, type WatchStream } from "./client.ts";

/** The history since the last revision seen is gone, so all keys must be read again. */
export class HistoryLost extends Error {
	/** Whether etcd itself has lost data, and not merely compacted its history. */
	readonly dataLost: boolean;

	constructor(message: string, dataLost: boolean) {
		super(message);
		this.dataLost = dataLost;
	}
}

/**
 * Watches all keys with a prefix over a raw watch stream, from `startRevision` on. It never resolves.
 *
 * Rejects with `HistoryLost` when etcd has compacted that revision away, or when its current revision is lower than the
 * one last seen (a wiped or restored etcd; its watch would stay silent until it has caught up); with the stream's error;
 * with the signal's reason.
 *
 * @param onCreated called once, when etcd has taken the watch
 * @param onEvents called with the events of each revision and the last revision they cover
 */
export function watch(
	stream: WatchStream,
	{ prefix, startRevision }: { prefix: string; startRevision: number },
	signal: AbortSignal,
	onCreated: () => void,
	onEvents: (events: IEvent[], revision: number) => void
): Promise<never> {
	return new Promise<never>((_resolve, reject) => {
		let settled = false;
		function fail(error: unknown): void {
			if (settled) return;
			settled = true;
			signal.removeEventListener("abort", onAbort);
			stream.cancel();
			reject(error);
		}
		function onAbort(): void {
			fail(signal.reason);
		}

		stream.on("data", response => {
			if (settled) return;
			const revision = Number(response.header.revision);
			if (response.canceled) {
				if (Number(response.compact_revision) > 0) {
					fail(new HistoryLost(`etcd has compacted revision ${startRevision}`, false));
				} else fail(new Error(`etcd cancelled the watch: ${response.cancel_reason}`));
			} else if (response.created) {
				if (revision < startRevision - 1) {
					fail(new HistoryLost(`etcd went back from revision ${startRevision - 1} to ${revision}`, true));
				} else onCreated();
			} else if (response.events.length > 0) onEvents(response.events, revision);
		});
		stream.on("error", fail);
		stream.on("end", () => fail(new Error("etcd ended the watch stream")));
		signal.addEventListener("abort", onAbort);

		if (signal.aborted) onAbort();
		else {
			stream.write({
				create_request: { key: Buffer.from(prefix), range_end: prefixEnd(prefix), start_revision: startRevision }
			});
		}
	});
}
