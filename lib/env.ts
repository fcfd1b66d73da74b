/**
 * The only file that reads the environment. Each variable is declared once, with its rule, default and meaning; the
 * README's configuration table is checked against this one.
 */

import {
	endpoints,
	file,
	hostAndPort,
	integer,
	namedKeys,
	nodeNameRule,
	notNegative,
	oneOf,
	origins,
	proxies,
	string,
	url,
	urls,
	type Variable,
	word
} from "./env-rules.ts";

/** From what ends a process to what only a developer wants to know. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace"] as const;

export const variables = {
	NODE_ENV: oneOf(
		["development", "test", "production"],
		"development",
		"`production` makes missing secrets fatal and logs JSON"
	),
	PORT: integer(8080, 0, 65535, "Port of the HTTP API; 0 takes a free one"),
	HOST: string("0.0.0.0", "Address that the HTTP API listens on"),
	LOG_LEVEL: oneOf(LOG_LEVELS, "info", "Least level that is logged"),
	NODE_NAME: nodeNameRule("Name of this node in the mesh; default: host name, service folder and process id"),
	NODE_ZONE: string("", "Zone of this node; calls prefer nodes of their own zone"),
	MESH_NAME: word("Separates meshes that share one NATS and one etcd: begins their keys, subjects and streams"),
	SERVICEDIR: string(
		"services",
		"Folder of the services that this process runs, e.g. `services/note` (moleculer-runner reads it too); `npm run node` needs it"
	),
	DATA_DIR: string("./data", "Where the embedded shape keeps its databases and its generated signing key"),
	DATABASE_URL: url(
		["sqlite", "mysql", "mariadb"],
		"sqlite:{data}/{service}.sqlite",
		"Database per service: `{service}` stands for the service's name, `{data}` for DATA_DIR"
	),
	NATS_URL: urls(
		["nats", "tls"],
		"NATS server, with `user:password@` or `token@` before the host where it asks; `tls:` encrypts; empty: one process"
	),
	NATS_CREDS_FILE: file("Credentials file of a NATS user (JWT and seed), instead of a name in NATS_URL"),
	TLS_CA_FILE: file(
		"Authorities (PEM) that sign the certificates of NATS (`tls:`), Redis (`rediss:`), MySQL (`?ssl=true`) and etcd (`https:`); empty: those of Node"
	),
	TLS_CERT_FILE: file("Certificate (PEM) that this node shows to those servers"),
	TLS_KEY_FILE: file("Key (PEM) of TLS_CERT_FILE"),
	MESH_KEYS: namedKeys(
		"Keys `name:secret`, separated by commas, that seal packets between nodes and messages in streams; the first seals, all open. Empty: not sealed"
	),
	ETCD_ENDPOINTS: endpoints("etcd endpoints, separated by commas; empty: nodes find each other over NATS"),
	ETCD_USERNAME: string("", "etcd user, where etcd asks for one"),
	ETCD_PASSWORD: string("", "Password of ETCD_USERNAME"),
	REDIS_URL: url(
		["redis", "rediss"],
		"",
		"Redis for what several nodes share: rate limits, and lists of notes where CACHE is `redis`; empty: limits count in each api node's memory"
	),
	CACHE: oneOf(
		["auto", "memory", "redis", "off"],
		"auto",
		"Where lists of notes are remembered: `auto` is memory in the embedded shape, else off; `memory` is right only where one process serves notes; `redis` may give a list of up to 30 s ago where Redis could not be told of a write"
	),
	JWT_KEYS: namedKeys(
		"Signing keys `name:secret`, separated by commas; the first signs, all verify. Required by api and user in production and on MySQL"
	),
	ACCESS_TOKEN_SECONDS: integer(900, 10, 86_400, "Life of an access token in seconds"),
	REFRESH_TOKEN_SECONDS: integer(2_592_000, 60, 31_536_000, "Life of an unused refresh token in seconds"),
	PASSWORD_MIN_LENGTH: integer(6, 6, 128, "Least length of a new password; 12 is recommended for production"),
	RATE_LIMIT_PER_MINUTE: integer(0, 0, 1_000_000, "Requests per minute per client address; 0: unlimited"),
	LOGIN_LIMIT_PER_MINUTE: integer(
		0,
		0,
		1_000_000,
		"Register, login, refresh and password change requests per minute per client address; 0: unlimited"
	),
	USER_LIMIT_PER_MINUTE: integer(0, 0, 1_000_000, "Requests per minute per signed-in user; 0: unlimited"),
	LOGIN_ATTEMPTS: integer(
		10,
		0,
		1000,
		"Wrong passwords per minute for one name from one address (4 times as many an hour, 10 times a day); 0: unlimited"
	),
	RATE_LIMIT_WITHOUT_REDIS: oneOf(
		["memory", "open", "closed"],
		"memory",
		"What limits do while Redis is away: each node counts for itself, nothing is limited, or limited requests get 503"
	),
	DRAIN_NOTICE_MS: integer(
		0,
		0,
		600_000,
		"How long an api node that stops still takes requests, in milliseconds: longer than load balancers take to see /readyz"
	),
	OVERLOAD_REQUESTS: integer(
		128,
		1,
		1_000_000,
		"With this many requests in progress and a busy event loop, an api node refuses new ones (503)"
	),
	OVERLOAD_REQUESTS_MAX: integer(
		2048,
		1,
		1_000_000,
		"With this many requests in progress, an api node refuses new ones (503) in any case"
	),
	IDEMPOTENCY_HOURS: integer(
		24,
		1,
		8760,
		"How long an Idempotency-Key of a note and its answer are kept at least, in hours"
	),
	TRUST_PROXY: proxies(
		"Reverse proxies whose X-Forwarded-For names the client; empty: the peer of the connection is it"
	),
	CORS_ORIGINS: origins("Browser origins that may call the API from other sites; empty: none"),
	TRACE_EXPORTER: oneOf(
		["jaeger", "zipkin", "none"],
		"jaeger",
		"Where spans go; `jaeger` needs JAEGER_ENDPOINT or JAEGER_AGENT, `zipkin` needs ZIPKIN_URL"
	),
	TRACE_INCOMING: oneOf(
		["continue", "ignore"],
		"continue",
		"What becomes of a client's W3C `traceparent`: its trace and sampling are continued, or it is not looked at"
	),
	JAEGER_ENDPOINT: url(
		["http", "https"],
		"",
		"Jaeger collector for Thrift over HTTP, e.g. `http://jaeger:14268/api/traces`; goes before JAEGER_AGENT"
	),
	JAEGER_AGENT: hostAndPort("Jaeger agent as host:port (Thrift, binary, over UDP); empty: spans are not exported"),
	JAEGER_SAMPLER: oneOf(
		["probabilistic", "const", "ratelimiting"],
		"probabilistic",
		"How traces are chosen; once chosen, the decision holds for the whole trace on all nodes"
	),
	JAEGER_SAMPLE_RATE: notNegative(
		1,
		"`probabilistic`: share of traces, 0 to 1; `const`: 0 none, 1 all; `ratelimiting`: traces a second and node"
	),
	ZIPKIN_URL: url(["http", "https"], "", "Zipkin server, e.g. `http://zipkin:9411`"),
	METRICS_PORT: integer(0, 0, 65535, "Port of this process's metrics and targets for Prometheus; 0: no metrics"),
	METRICS_HOST: string(
		"0.0.0.0",
		"Address that the metrics listen on, and the one told to Prometheus unless it is 0.0.0.0"
	),
	SLOW_REQUEST_MS: integer(1000, 0, 600_000, "HTTP requests that take longer are logged, in milliseconds; 0: none"),
	SLOW_STATEMENT_MS: integer(
		200,
		0,
		600_000,
		"SQL statements of requests and messages that take longer are logged, in milliseconds; 0: none. Others (outbox relay, saga polling, migrations) are not looked at"
	)
} satisfies Record<string, Variable<unknown>>;

/** The validated environment: one property per variable, already parsed. */
export type Env = { [Name in keyof typeof variables]: ReturnType<(typeof variables)[Name]["parse"]> };

/**
 * Reads and validates the environment.
 * @param overwriting names the variables that are set and with which moleculer-runner, where it runs this process, would
 * overwrite broker options: what decides about a node is declared here
 * @throws one error that names every bad variable and its rule
 */
export function readEnv(
	source: NodeJS.ProcessEnv = process.env,
	overwriting: (source: NodeJS.ProcessEnv) => string[] = () => []
): Env {
	const problems = overwriting(source).map(
		name => `${name} must not be set: moleculer-runner would overwrite a broker option with it`
	);
	const entries = Object.entries(variables).map(([name, variable]) => {
		const raw = source[name]?.trim();
		if (!raw) return [name, variable.fallback];
		try {
			return [name, variable.parse(raw)];
		} catch (error) {
			problems.push(`${name} ${(error as Error).message}`);
			return [name, variable.fallback];
		}
	});
	const env = Object.fromEntries(entries) as Env;

	if (env.JAEGER_SAMPLER === "const" && ![0, 1].includes(env.JAEGER_SAMPLE_RATE))
		problems.push("JAEGER_SAMPLE_RATE must be 0 or 1 with JAEGER_SAMPLER=const");
	if (env.JAEGER_SAMPLER === "probabilistic" && env.JAEGER_SAMPLE_RATE > 1)
		problems.push("JAEGER_SAMPLE_RATE must be a number from 0 to 1");
	if (!env.TLS_CERT_FILE !== !env.TLS_KEY_FILE) problems.push("TLS_CERT_FILE and TLS_KEY_FILE must be set together");

	if (env.TRACE_EXPORTER === "zipkin" && !env.ZIPKIN_URL) problems.push("TRACE_EXPORTER=zipkin needs ZIPKIN_URL");
	if (env.CACHE === "redis" && !env.REDIS_URL) problems.push("CACHE=redis needs REDIS_URL");

	if (problems.length > 0)
		throw new Error(`The environment is not valid:\n${problems.map(line => `  - ${line}`).join("\n")}`);
	return env;
}

let current: Env | undefined;

/** The environment of this process, read once at the first use, with what {@link readEnv} takes. */
export function env(overwriting?: (source: NodeJS.ProcessEnv) => string[]): Env {
	current ??= readEnv(process.env, overwriting);
	return current;
}

/** Whether the services keep their data in SQLite files of this process. */
export function isEmbedded(env: Env): boolean {
	return env.DATABASE_URL.startsWith("sqlite:");
}

/** Where durable streams live: in NATS JetStream or, without NATS, in a file of this process. */
export function channelsUrl(env: Env): string {
	return env.NATS_URL || `file:${env.DATA_DIR}/streams.sqlite`;
}

/** The database URL of one service; where it asks for TLS, with the files of this process's environment. */
export function databaseUrl(env: Env, service: string): string {
	const url = env.DATABASE_URL.replaceAll("{service}", service).replaceAll("{data}", env.DATA_DIR);
	if (!/[?&]ssl=true(&|$)/.test(url)) return url;

	const files = { "ssl-ca": env.TLS_CA_FILE, "ssl-cert": env.TLS_CERT_FILE, "ssl-key": env.TLS_KEY_FILE };
	const parameters = Object.entries(files).filter(([, path]) => path);
	return [url, ...parameters.map(([name, path]) => `${name}=${encodeURIComponent(path)}`)].join("&");
}
