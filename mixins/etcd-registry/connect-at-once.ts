import type { ServiceBroker } from "moleculer";

/** A promise that goes on at once where moleculer lets it wait. */
class Undelayed<T> extends Promise<T> {
	delay(): this {
		return this;
	}
}

/** What moleculer's types leave out. */
interface Connecting {
	Promise: PromiseConstructor;
	/** The transporter, which has been given the transit's `afterConnect`. */
	tx: { afterConnect(wasReconnect: boolean): Promise<null> };
}

/**
 * Takes out the half second that moleculer 0.15 waits after its first connection for the INFO packets of other nodes
 * (`Transit.afterConnect`): nodes are known from etcd by then, and nobody sends INFO. After a lost connection the half
 * second stays: others need it to connect again.
 */
export function connectAtOnce(broker: ServiceBroker): void {
	const transit = broker.transit as unknown as Connecting | undefined;
	if (!transit) return;
	const { tx } = transit;
	const afterConnect = tx.afterConnect.bind(tx);
	tx.afterConnect = wasReconnect => {
		if (wasReconnect) return afterConnect(wasReconnect);
		const usual = transit.Promise;
		transit.Promise = Undelayed as unknown as PromiseConstructor;
		// It begins its chain of promises before it returns.
		try {
			return afterConnect(wasReconnect);
		} finally {
			transit.Promise = usual;
		}
	};
}
