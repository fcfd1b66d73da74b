import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import { innermost } from "../../../mixins/saga/lifecycle.ts";

it("What is innermost starts after all else of its service, and stops before it, wherever its mixin is listed", async () => {
	const done: string[] = [];
	const hooks = (name: string) => ({
		started: () => void done.push(`${name} up`),
		stopped: () => void done.push(`${name} down`)
	});
	const database: Partial<ServiceSchema> = hooks("database");
	const { started, stopped } = hooks("sagas");
	for (const mixins of [
		[database, innermost(started, stopped)],
		[innermost(started, stopped), database]
	]) {
		const broker = new ServiceBroker({ logger: false });
		broker.createService({ name: "owner", mixins, ...hooks("service") });
		await broker.start();
		await broker.stop();
		assert.deepEqual(done.splice(0), [
			"database up",
			"service up",
			"sagas up",
			"sagas down",
			"service down",
			"database down"
		]);
	}
});
