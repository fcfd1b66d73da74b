import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type BrokerOptions, ServiceBroker, type ServiceSchema } from "moleculer";
import { Client } from "./client.ts";

/** What can be ended with the test that began it. */
type Ends = Pick<TestContext, "after"> | { after(end: () => Promise<void>): void };

/** The services of a test: those given replace the real ones, null leaves one out. */
export interface AppServices {
	user?: ServiceSchema | null;
	note?: ServiceSchema | null;
}

export interface App {
	broker: ServiceBroker;
	client: Client;
	stop(): Promise<void>;
}

/**
 * Sets the environment of this test file: a data folder of its own, a free port, and `variables`. Must run before the
 * first service is created, since the environment is read once a process.
 */
export function useEnvironment(variables: Record<string, string> = {}): void {
	const dataDir = mkdtempSync(join(tmpdir(), "notemesh-test-"));
	process.on("exit", () => rmSync(dataDir, { recursive: true, force: true }));
	Object.assign(process.env, { NODE_ENV: "test", DATA_DIR: dataDir, HOST: "127.0.0.1", PORT: "0", ...variables });
}

/** Options of a broker that says nothing and shares nothing. */
export function quiet(options: BrokerOptions = {}): BrokerOptions {
	return { logger: false, metrics: false, ...options };
}

/** Starts api, user and note in one broker on SQLite, and stops them after the test. */
export async function startApp(t: Ends, services: AppServices = {}, options: BrokerOptions = {}): Promise<App> {
	const broker = new ServiceBroker(quiet({ nodeID: "app", requestTimeout: 2000, ...options }));
	for (const schema of await schemas(services)) broker.createService(schema);
	await broker.start();
	const stop = () => broker.stop();
	t.after(stop);
	return { broker, client: clientOf(broker), stop };
}

/**
 * The same with the gateway on one broker and the others on a second one, joined by moleculer's in-memory transporter:
 * parameters, results and errors are serialised as between two machines.
 */
export async function startSplitApp(
	t: Ends,
	services: AppServices = {},
	{ gateway: ofGateway = {}, worker: ofWorker = {} }: { gateway?: BrokerOptions; worker?: BrokerOptions } = {}
): Promise<App> {
	// The in-memory transporter joins all brokers of a namespace within this process.
	const namespace = `split-${process.hrtime.bigint()}`;
	const options: BrokerOptions = { namespace, transporter: "Fake", requestTimeout: 2000 };
	const gateway = new ServiceBroker(quiet({ ...options, nodeID: "gateway", ...ofGateway }));
	const worker = new ServiceBroker(quiet({ ...options, nodeID: "worker", ...ofWorker }));
	const [api, ...others] = await schemas(services);
	gateway.createService(api as ServiceSchema);
	for (const schema of others) worker.createService(schema);
	await Promise.all([gateway.start(), worker.start()]);
	await gateway.waitForServices(others.map(schema => schema.name));
	const stop = async () => void (await Promise.all([gateway.stop(), worker.stop()]));
	t.after(stop);
	return { broker: gateway, client: clientOf(gateway), stop };
}

async function schemas({ user, note }: AppServices): Promise<ServiceSchema[]> {
	const real = async (name: string) =>
		(await import(`../../services/${name}/${name}.service.ts`)).default as ServiceSchema;
	const api = await real("api");
	const chosen = await Promise.all([
		user === undefined ? real("user") : user,
		note === undefined ? real("note") : note
	]);
	return [api, ...chosen.filter(schema => schema !== null)];
}

function clientOf(broker: ServiceBroker): Client {
	const { server } = broker.getLocalService("api") as unknown as { server: Server };
	return new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}
