export { NodeProcess, spawnNode } from "../../scripts/node-process.ts";
export { freePort } from "../../scripts/servers/free-port.ts";
