import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { pipeline, Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** Hands TCP connections on to a port of this machine, as slowly as it is told. */
export class TcpProxy {
	/** How long every chunk of data is held up on its way there, and on its way back, in milliseconds. */
	delay = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(target: number) {
		this.#server = createServer(near => {
			const far = connect(target, "127.0.0.1");
			for (const socket of [near, far]) {
				this.#sockets.add(socket);
				socket.setNoDelay(true);
				socket.once("close", () => this.#sockets.delete(socket));
			}
			// Why a side has ended is for the other one to find out.
			const end = () => [near, far].map(socket => socket.destroy());
			pipeline(near, this.#slowly(), far, end);
			pipeline(far, this.#slowly(), near, end);
		});
	}

	/** @param target port on 127.0.0.1 @param host address to listen on */
	static async start(target: number, host = "127.0.0.1"): Promise<TcpProxy> {
		const proxy = new TcpProxy(target);
		proxy.#server.listen(0, host);
		await once(proxy.#server, "listening");
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
		await once(this.#server, "close");
	}

	#slowly(): Transform {
		return new Transform({
			transform: (chunk, _encoding, done) => {
				if (this.delay === 0) done(null, chunk);
				else sleep(this.delay).then(() => done(null, chunk));
			}
		});
	}
}
