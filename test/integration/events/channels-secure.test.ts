import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readEnv } from "../../../lib/env.ts";
import { natsOptions } from "../../../lib/server-options.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { createCertificate } from "../../support/certificates.ts";
import { consumer, fact, run } from "../../support/channels.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const { skip } = await requireServers("nats", "openssl");
/** With every character that a URL would take for something else. */
const PASSWORD = "p@ss:w/rd?#%";

describe("Channels on a JetStream with TLS and a password", { skip }, () => {
	it("are reached with the TLS files and the password of the environment, and not without", async t => {
		const [{ certFile, keyFile }, stranger] = await Promise.all([createCertificate(), createCertificate()]);
		const server = await startNats({
			jetstream: true,
			config: `authorization { user: notemesh, password: "${PASSWORD}" }
				tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}", verify: true }`
		});
		// After the services, which are ended in the order of their start.
		const ends: (() => Promise<void>)[] = [];
		t.after(async () => {
			for (const end of ends) await end();
			await server.stop();
		});
		const suite = { after: (end: () => Promise<void>) => void ends.push(end) };
		const environment = (password: string, own: { certFile: string; keyFile: string }) =>
			readEnv({
				NATS_URL: server.url.replace("nats://", `tls://notemesh:${encodeURIComponent(password)}@`),
				TLS_CA_FILE: certFile,
				TLS_CERT_FILE: own.certFile,
				TLS_KEY_FILE: own.keyFile
			});
		const seen: number[] = [];
		const start = (env: ReturnType<typeof environment>) =>
			run(suite, env.NATS_URL, {
				nats: () => natsOptions(env),
				definition: consumer(),
				handler: async ctx => void seen.push(ctx.params.n)
			});

		const { channels, stop: stopFirst } = await start(environment(PASSWORD, { certFile, keyFile }));
		await channels.publish(fact(1));
		await until("it was handled", () => seen.length === 1);
		assert.deepEqual(seen, [1]);
		await stopFirst();

		for (const env of [environment("wrong", { certFile, keyFile }), environment(PASSWORD, stranger)]) {
			const { channels: refused, stop } = await start(env);
			const published = refused.publish(fact(2)).then(
				() => "stored",
				() => "refused"
			);
			const waited = new Promise(resolve => setTimeout(resolve, 1_000, "waits"));
			assert.notEqual(await Promise.race([published, waited]), "stored");
			await stop();
		}
		assert.deepEqual(seen, [1]);
	});
});
