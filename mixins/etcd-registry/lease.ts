import type { KeepAliveStream } from "./client.ts";

// Two renewals fit in a lifetime, and a stalled etcd is noticed before the lease ends: after two intervals at the latest.
const RENEWALS_PER_TTL = 2.5;

/**
 * Renews a lease every 0.4 TTL and settles when that is over: resolves when etcd says that the lease is gone,
 * rejects when the stream breaks, when a renewal has no answer by the time of the next one, or with the signal's
 * reason.
 *
 * @param ttl seconds
 * @param onRenewed called with each answer of etcd
 */
export function keepAlive(
	stream: KeepAliveStream,
	lease: string,
	ttl: number,
	signal: AbortSignal,
	onRenewed: () => void
): Promise<void> {
	return new Promise<void>((resolve, reject) => {
		let answered = true;
		let settled = false;

		const renew = (): void => {
			answered = false;
			stream.write({ ID: lease });
		};
		const tick = (): void => {
			// After a blocked event loop the answer may wait in the socket: let the poll phase read it first.
			setImmediate(() => {
				if (settled) return;
				if (answered) renew();
				else settle(() => reject(new Error("etcd does not answer")));
			});
		};
		const timer = setInterval(tick, (ttl * 1000) / RENEWALS_PER_TTL);

		function settle(outcome: () => void): void {
			if (settled) return;
			settled = true;
			clearInterval(timer);
			signal.removeEventListener("abort", onAbort);
			stream.cancel();
			outcome();
		}
		function onAbort(): void {
			settle(() => reject(signal.reason));
		}

		stream.on("data", ({ TTL }) => {
			answered = true;
			if (Number(TTL) <= 0) settle(resolve);
			else if (!settled) onRenewed();
		});
		stream.on("error", error => settle(() => reject(error)));
		stream.on("end", () => settle(() => reject(new Error("etcd ended the keep-alive stream"))));
		signal.addEventListener("abort", onAbort);

		if (signal.aborted) onAbort();
		else renew();
	});
}
