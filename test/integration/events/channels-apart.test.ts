import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "nats";
import { RUNNER } from "../../../scripts/local-mesh.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { consumer, fact, jetStream, onEachStreamPlace, run } from "../../support/channels.ts";
import { spawnNode } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

await onEachStreamPlace("Channels of several meshes in one place", place => {
	/** A mesh that keeps what it is given, and gives up odd numbers. */
	async function mesh(t: Parameters<typeof run>[0], url: string, name: string) {
		const seen: { n: number; stream: string; subject: string }[] = [];
		const { channels } = await run(t, url, {
			mesh: () => name,
			definition: consumer({ subject: "fact.counted", maxAttempts: 1 }),
			async handler({ params: { n } }, { stream, subject }) {
				seen.push({ n, stream, subject });
				if (n % 2 === 1) throw new Error("odd");
			}
		});
		return { channels, seen };
	}

	it("have their own messages and dead letters, under the names that the platform gave them", async t => {
		const url = await place.create();
		const names = ["", "blue", "green"];
		const meshes = await Promise.all(names.map(name => mesh(t, url, name)));
		for (const [i, { channels }] of meshes.entries()) {
			const [even, odd] = [10 * i, 10 * i + 1];
			// The same ids everywhere: they are one mesh's own, too.
			await channels.publish(fact(even, { id: "even" }));
			const published = await channels.publish(fact(odd, { id: "odd" }));
			assert.deepEqual([published.stream, published.seq, published.duplicate], ["FACTS", 2, false]);
		}
		for (const [i, { channels, seen }] of meshes.entries()) {
			await until("its dead letter", async () => (await channels.deadLetters.list()).length === 1);
			const about = { stream: "FACTS", subject: "fact.counted" };
			assert.deepEqual(
				seen.toSorted((a, b) => a.n - b.n),
				[
					{ n: 10 * i, ...about },
					{ n: 10 * i + 1, ...about }
				]
			);
			const [letter] = await channels.deadLetters.list();
			assert.deepEqual(
				[letter?.data, letter?.stream, letter?.subject],
				[JSON.stringify({ n: 10 * i + 1 }), ...Object.values(about)]
			);
			await until("all is settled", async () => {
				const { waiting, pending } = await channels.transport.consumerState(consumer());
				return waiting + pending === 0;
			});
		}
		const letters = () => Promise.all(meshes.map(({ channels }) => channels.deadLetters.list()));
		const [[letter] = []] = (await letters()).slice(1);
		await meshes[1]?.channels.deadLetters.discard(letter?.id ?? 0);
		assert.deepEqual(
			(await letters()).map(each => each.length),
			[1, 0, 1]
		);
	});
});

describe("The streams of a node with a MESH_NAME", await requireServers("nats"), () => {
	const place = jetStream();

	it("are its mesh's own", async () => {
		const NATS_URL = await place.create();
		const env = { NATS_URL, MESH_NAME: "blue", SERVICEDIR: "services/audit", DATA_DIR: temporaryFolder("blue") };
		await using node = spawnNode({ args: RUNNER, env });
		await node.waitForLine(/started successfully/);
		const connection = await connect({ servers: NATS_URL });
		const manager = await connection.jetstreamManager();
		await until("its consumer", () =>
			manager.consumers.info("blue-AUDIT", "audit-log").then(
				() => true,
				() => false
			)
		);
		assert.deepEqual(await manager.streams.names().next(), ["blue-AUDIT"]);
		await connection.close();
	});
});
