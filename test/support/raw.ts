import { connect, type Socket } from "node:net";

/** What came back on a connection until the server closed it, or nothing more was expected. */
export interface RawAnswer {
	text: string;
	/** The status codes of all answers, in order. */
	statuses: number[];
	/** Whether the server closed the connection. */
	closed: boolean;
}

/** A connection of which every byte is the test's own. */
export class RawConnection {
	readonly #socket: Socket;
	#text = "";
	#closed = false;
	#waiting: (() => void)[] = [];

	constructor(url: string) {
		const { hostname, port } = new URL(url);
		this.#socket = connect({ host: hostname, port: Number(port) });
		this.#socket.setEncoding("latin1");
		this.#socket.on("data", chunk => {
			this.#text += chunk;
			this.#wake();
		});
		// A server that does not want to read on may reset the connection: that is closed, too.
		this.#socket.on("error", () => {});
		this.#socket.on("close", () => {
			this.#closed = true;
			this.#wake();
		});
	}

	get answer(): RawAnswer {
		const statuses = [...this.#text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
		return { text: this.#text, statuses, closed: this.#closed };
	}

	write(bytes: string): void {
		this.#socket.write(bytes, "latin1");
	}

	/** Waits until `isEnough` says so or the server has closed the connection. @throws after `patience` milliseconds */
	async until(isEnough: (answer: RawAnswer) => boolean, patience = 10_000): Promise<RawAnswer> {
		const deadline = Date.now() + patience;
		while (!this.#closed && !isEnough(this.answer)) {
			const left = deadline - Date.now();
			if (left <= 0) throw new Error(`The server neither answered nor closed; it said: ${this.#text}`);
			await new Promise<void>(resolve => {
				const timer = setTimeout(resolve, left);
				this.#waiting.push(() => {
					clearTimeout(timer);
					resolve();
				});
			});
		}
		return this.answer;
	}

	close(): void {
		this.#socket.destroy();
	}

	#wake(): void {
		for (const wake of this.#waiting.splice(0)) wake();
	}
}

/** Sends bytes on a connection of their own and waits for the server to close it. */
export async function sendRaw(url: string, bytes: string): Promise<RawAnswer> {
	const connection = new RawConnection(url);
	connection.write(bytes);
	try {
		return await connection.until(({ closed }) => closed);
	} finally {
		connection.close();
	}
}
