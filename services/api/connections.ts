import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The open connections of a server, with what is being answered on them: of several answers, the last one. */
type Connections = ReadonlyMap<Socket, ServerResponse | undefined>;

const known = new WeakMap<Server, Connections>();

/** The connections of a server, which are known from the first call on: before it listens. */
export function connectionsOf(server: Server): Connections {
	const connections = known.get(server) ?? followed(server);
	known.set(server, connections);
	return connections;
}

function followed(server: Server): Connections {
	// A set of answers would be emptied and filled all the time, and V8 lets whatever was in such a set outlive its minor
	// collections: see mixins/etcd-registry/pending-requests.ts.
	const connections = new Map<Socket, ServerResponse | undefined>();
	server.on("connection", socket => {
		connections.set(socket, undefined);
		socket.once("close", () => connections.delete(socket));
	});
	server.on("request", ({ socket }, res) => {
		connections.set(socket, res);
		res.once("close", () => {
			if (connections.get(socket) === res) connections.set(socket, undefined);
		});
	});
	return connections;
}
