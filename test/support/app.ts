import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext } from "node:test";
import { type BrokerOptions, ServiceBroker, type ServiceSchema } from "moleculer";
import { DiscreetValidator } from "../../lib/validator.ts";
import { Client, type TestUser } from "./client.ts";

/** What can be ended with the test that began it. */
type Ends = Pick<TestContext, "after"> | { after(end: () => Promise<void>): void };

/** The services of a test: those given replace the real ones, null leaves one out. */
export type AppServices = Readonly<Record<string, ServiceSchema | null | undefined>>;

/** All services but the gateway: the folders below `services`. */
const OTHERS = readdirSync("services").filter(name => name !== "api");

export interface App {
	/** The broker of the gateway. */
	broker: ServiceBroker;
	/** The broker of the other services: the same, or another one. */
	worker: ServiceBroker;
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

/** Options of a broker that says nothing, shares nothing and does not let others wait. */
export function quiet(options: BrokerOptions = {}): BrokerOptions {
	const quick = { registry: { stopDelay: 0 }, dependencyInterval: 10, transit: { serviceChangedDebounceTime: 10 } };
	return { logger: false, metrics: false, validator: new DiscreetValidator(), ...quick, ...options } as BrokerOptions;
}

/** Starts all services in one broker on SQLite, and stops them after the test. */
export async function startApp(t: Ends, services: AppServices = {}, options: BrokerOptions = {}): Promise<App> {
	const broker = new ServiceBroker(quiet({ nodeID: "app", requestTimeout: 10_000, ...options }));
	for (const schema of await schemas(services)) broker.createService(schema);
	const stop = () => broker.stop();
	t.after(stop);
	await broker.start();
	return { broker, worker: broker, client: clientOf(broker), stop };
}

/**
 * The same with the gateway on one broker and the others on a second one, joined by moleculer's in-memory transporter:
 * parameters, results and errors are serialised as between two machines.
 */
export async function startSplitApp(
	t: Ends,
	services: AppServices = {},
	options: BrokerOptions = {},
	own: { gateway?: BrokerOptions; worker?: BrokerOptions } = {}
): Promise<App> {
	// The in-memory transporter joins all brokers of a namespace within this process.
	const namespace = `split-${process.hrtime.bigint()}`;
	const shared: BrokerOptions = { namespace, transporter: "Fake", requestTimeout: 10_000, ...options };
	const gateway = new ServiceBroker(quiet({ ...shared, nodeID: "gateway", ...own.gateway }));
	const worker = new ServiceBroker(quiet({ ...shared, nodeID: "worker", ...own.worker }));
	const [api, ...others] = await schemas(services);
	gateway.createService(api as ServiceSchema);
	for (const schema of others) worker.createService(schema);
	const stop = async () => void (await Promise.all([gateway.stop(), worker.stop()]));
	t.after(stop);
	await Promise.all([gateway.start(), worker.start()]);
	await gateway.waitForServices(others.map(schema => schema.name));
	return { broker: gateway, worker, client: clientOf(gateway), stop };
}

/** Registers a user, makes them an admin and logs them in again. */
export async function newAdmin({ client, worker }: App): Promise<TestUser> {
	const user = await client.newUser();
	await worker.call("user.setRole", { user_id: user.user_id, role: "admin" });
	return { ...user, ...(await client.login(user.username, user.password)) };
}

/** Starts one more node beside those of a split app, with services of its own. */
export async function startNode(
	t: Ends,
	{ broker }: App,
	nodeID: string,
	names: readonly string[],
	own: BrokerOptions = {}
): Promise<ServiceBroker> {
	const { namespace, transporter, requestTimeout } = broker.options;
	const node = new ServiceBroker(quiet({ namespace, transporter, requestTimeout, nodeID, ...own } as BrokerOptions));
	for (const name of names) node.createService(await realService(name));
	await node.start();
	t.after(() => node.stop());
	await node.waitForServices(["user", "note"]);
	return node;
}

/** Starts one more gateway beside that of a split app. */
export async function startGateway(t: Ends, app: App): Promise<Client> {
	return clientOf(await startNode(t, app, "gateway-2", ["api"]));
}

/** Runs a suite on one process and over a transporter; `app` gives the running app of the suite that runs. */
export function onBothShapes(suite: (app: () => App) => void, services?: AppServices, options?: BrokerOptions): void {
	const shapes = { "in one process": startApp, "over a transporter": startSplitApp };
	for (const [shape, start] of Object.entries(shapes))
		describe(shape, () => {
			let app: App;
			before(async () => {
				app = await start({ after: () => {} }, services, options);
			});
			after(() => app?.stop());
			suite(() => app);
		});
}

/** A service whose actions all do the same. */
export function stubService(name: string, actions: readonly string[], handler: () => unknown): ServiceSchema {
	return { name, actions: Object.fromEntries(actions.map(action => [action, { handler }])) };
}

async function realService(name: string): Promise<ServiceSchema> {
	return (await import(`../../services/${name}/${name}.service.ts`)).default;
}

async function schemas(services: AppServices): Promise<ServiceSchema[]> {
	const chosen = await Promise.all(
		OTHERS.map(name => (services[name] === undefined ? realService(name) : services[name]))
	);
	return [await realService("api"), ...chosen.filter(schema => schema !== null)];
}

function clientOf(broker: ServiceBroker): Client {
	const { server } = broker.getLocalService("api") as unknown as { server: Server };
	return new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}
