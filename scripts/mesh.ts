/** `npm run mesh`: the whole mesh on this machine, without Docker; Ctrl-C stops it. Data under DATA_DIR/mesh. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readEnv, variables } from "../lib/env.ts";
import { startLocalMesh } from "./local-mesh.ts";
import { freePort } from "./servers/free-port.ts";

// Beside the usual ports, so that servers of the machine's own are not in the way.
const PORTS = { nats: 14_222, etcd: 12_379, mariadb: 13_306, redis: 16_379 };
const NODES = {
	"user-1": "user",
	"note-1": "note",
	"note-2": "note",
	"points-1": "points",
	"audit-1": "audit",
	"letter-1": "letter",
	"api-1": "api"
};

const { DATA_DIR, PORT, LOG_LEVEL } = readEnv();
const port = PORT || (await freePort());
const dataDir = join(DATA_DIR, "mesh");

console.log("Starting NATS, etcd, MariaDB and Redis ...");
const mesh = await startLocalMesh({
	dataDir,
	ports: { ...PORTS, http: port },
	env: { LOG_LEVEL },
	onLine: (node, line) => console.log(`${node.padEnd(7)} ${line}`)
});
// For `npm run repl` and for a further node by hand.
const envFile = join(dataDir, "mesh.env");
const lines = Object.entries(mesh.env).map(([name, value]) => `${name}=${value}`);
writeFileSync(envFile, `${lines.join("\n")}\n`, { mode: 0o600 });

// They find the file by it.
const where = DATA_DIR === variables.DATA_DIR.fallback ? "" : `DATA_DIR=${DATA_DIR} `;

await Promise.all(Object.entries(NODES).map(([name, service]) => mesh.startNode(service, name)));
await mesh.ready();
console.log(`
  The mesh is ready on http://localhost:${port}   (nodes: ${Object.keys(NODES).join(", ")})

  REPL          ${where}npm run repl
  Another node  ${where}SERVICEDIR=services/note NODE_NAME=note-3 npm run node
  Stop          Ctrl-C
`);

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, async () => {
		if (stopping) return;
		stopping = true;
		console.log("\nStopping the mesh ...");
		await mesh.stop();
		process.exit(0);
	});
// The children alone do not keep this process alive.
setInterval(() => {}, 60_000);
