/** What the system reads from its environment. */
export interface Env {
	/** Address of the databases, with `{service}` where the name of the service goes. */
	databaseUrl: string;
}

/** Reads the environment. */
export function readEnv(source: NodeJS.ProcessEnv = process.env): Env {
	return { databaseUrl: source.DATABASE_URL ?? "sqlite:./data/{service}.sqlite" };
}

/** The database URL of a service. */
export function databaseUrl(env: Env, service: string): string {
	return env.databaseUrl.replaceAll("{service}", service);
}
