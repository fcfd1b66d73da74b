import assert from "node:assert/strict";
import { it } from "node:test";
import { type BrokerOptions, ServiceBroker } from "moleculer";
import { RequestLogger } from "../../../lib/observability/logger.ts";

it("A line of the log leaves out what is undefined", () => {
	const lines: string[] = [];
	const destination = { write: (line: string) => void lines.push(line) };
	const logger = new RequestLogger({ level: "warn", json: true, destination });
	const broker = new ServiceBroker({ logger } as unknown as BrokerOptions);
	broker.logger.warn("starting again", undefined);
	broker.logger.warn(undefined, "retries:", 0, null, { reason: undefined });
	assert.deepEqual(
		lines.map(line => JSON.parse(line).msg),
		["starting again", "retries: 0 null"]
	);
});
