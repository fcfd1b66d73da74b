import { readFileSync } from "node:fs";
import type { RedisOptions } from "ioredis";
import { type ConnectionOptions, credsAuthenticator, type TlsOptions } from "nats";
import type { Env } from "./env.ts";

/** Certificates as Node's TLS takes them. */
interface TlsCertificates {
	ca?: Buffer;
	cert?: Buffer;
	key?: Buffer;
}

/** What the TLS variables name, read: one set for all servers, since a CA file may hold several authorities. */
export function tlsCertificates({ TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE }: Env): TlsCertificates {
	return {
		...(TLS_CA_FILE && { ca: readFileSync(TLS_CA_FILE) }),
		...(TLS_CERT_FILE && { cert: readFileSync(TLS_CERT_FILE) }),
		...(TLS_KEY_FILE && { key: readFileSync(TLS_KEY_FILE) })
	};
}

/**
 * How to reach NATS, for `connect` of `nats` and for moleculer's transporter: the servers of NATS_URL (several separated by
 * commas), TLS where it says `tls:`, and a user and password, a token, or a credentials file.
 */
export function natsOptions(env: Env): ConnectionOptions {
	const urls = env.NATS_URL.split(",").map(text => new URL(text.trim()));
	const [{ protocol, username, password }] = urls as [URL];
	return {
		servers: urls.map(url => url.host),
		...(password
			? { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
			: username && { token: decodeURIComponent(username) }),
		...(env.NATS_CREDS_FILE && { authenticator: credsAuthenticator(readFileSync(env.NATS_CREDS_FILE)) }),
		...(protocol === "tls:" && { tls: natsTls(env) })
	};
}

function natsTls({ TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE }: Env): TlsOptions {
	return {
		...(TLS_CA_FILE && { caFile: TLS_CA_FILE }),
		...(TLS_CERT_FILE && { certFile: TLS_CERT_FILE }),
		...(TLS_KEY_FILE && { keyFile: TLS_KEY_FILE })
	};
}

/** A Redis that hangs must not hold a request for longer. */
export const REDIS_TIMEOUT_MS = 250;

/**
 * How to reach Redis, for `new Redis(url, options)`: user and password stand in the URL, `rediss:` encrypts. A command
 * fails at once while Redis is away, since who asks can do without it.
 */
export function redisOptions(env: Env): RedisOptions & { url: string } {
	return {
		url: env.REDIS_URL,
		...(env.REDIS_URL.startsWith("rediss:") && { tls: tlsCertificates(env) }),
		enableOfflineQueue: false,
		maxRetriesPerRequest: 1,
		commandTimeout: REDIS_TIMEOUT_MS
	};
}
