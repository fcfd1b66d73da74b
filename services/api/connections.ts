import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The open connections of a server, with the answers that are under way on each, in order. */
type Connections = ReadonlyMap<Socket, readonly ServerResponse[]>;

const known = new WeakMap<Server, Connections>();

/** The connections of a server, which are known from the first call on: before it listens. */
export function connectionsOf(server: Server): Connections {
	const connections = known.get(server) ?? followed(server);
	known.set(server, connections);
	return connections;
}

function followed(server: Server): Connections {
	// One set of all answers would be emptied and filled all the time, and V8 lets whatever was in such a set outlive its
	// minor collections: see mixins/etcd-registry/pending-requests.ts.
	const connections = new Map<Socket, ServerResponse[]>();
	server.on("connection", socket => {
		connections.set(socket, []);
		socket.once("close", () => connections.delete(socket));
	});
	const begun = ({ socket }: IncomingMessage, res: ServerResponse) => {
		const answers = connections.get(socket);
		answers?.push(res);
		res.once("close", () => answers?.splice(answers.indexOf(res), 1));
	};
	server.on("request", begun);
	server.on("checkExpectation", begun);
	return connections;
}
