import { connect } from "node:net";

const TIMEOUT = 1000;

/**
 * Connects to a loopback port, sends `greeting` and returns the first line that comes back.
 *
 * @throws Error when nobody listens, the connection ends early or nothing comes within a second
 */
export function firstLine(port: number, greeting = ""): Promise<string> {
	return new Promise((resolve, reject) => {
		let received = "";
		const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(greeting));
		socket.setEncoding("utf8");
		socket.setTimeout(TIMEOUT, () => socket.destroy(new Error(`Port ${port} sent no line within ${TIMEOUT} ms`)));
		socket.on("error", reject);
		socket.on("close", () => reject(new Error(`Port ${port} closed the connection before a line was complete`)));
		socket.on("data", chunk => {
			received += chunk;
			const end = received.indexOf("\r\n");
			if (end === -1) return;
			resolve(received.slice(0, end));
			socket.destroy();
		});
	});
}
