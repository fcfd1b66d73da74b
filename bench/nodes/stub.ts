/** How long the stub's database takes for a list, in milliseconds. */
export const WAIT_MS = 20;
/** How many lists a node has under way at once: its pool. */
export const CONNECTIONS = 2;
/** Lists a second that a node can answer. */
export const NODE_RATE = (1000 / WAIT_MS) * CONNECTIONS;
