import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { databaseUrl, isEmbedded, readEnv } from "../../lib/env.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

describe("The environment", () => {
	it("is the embedded shape when nothing is set", () => {
		const env = readEnv({});
		assert.equal(env.PORT, 8080);
		assert.equal(isEmbedded(env), true);
		assert.equal(databaseUrl(env, "note"), "sqlite:./data/note.sqlite");
	});

	it("gives each service a database of its own", () => {
		const env = readEnv({ DATABASE_URL: "mysql://root@127.0.0.1/notemesh_{service}", JWT_KEYS: `a:${SECRET}` });
		assert.equal(databaseUrl(env, "user"), "mysql://root@127.0.0.1/notemesh_user");
		assert.equal(isEmbedded(env), false);
	});

	it("takes an empty variable for an unset one", () => {
		assert.equal(readEnv({ PORT: "", LOG_LEVEL: " " }).PORT, 8080);
	});

	it("reads several signing keys, the first one first, with colons in secrets", () => {
		const { JWT_KEYS } = readEnv({ JWT_KEYS: `new:${SECRET}:x, old:${SECRET}` });
		assert.deepEqual(JWT_KEYS, [
			{ name: "new", secret: `${SECRET}:x` },
			{ name: "old", secret: SECRET }
		]);
	});

	const bad: [name: string, value: string, rule: RegExp][] = [
		["PORT", "http", /PORT must be an integer from 0 to 65535/],
		["PORT", "70000", /PORT must be an integer/],
		["PORT", "80.5", /PORT must be an integer/],
		["LOG_LEVEL", "loud", /LOG_LEVEL must be one of fatal, error/],
		["DATABASE_URL", "postgres://x/y", /DATABASE_URL must be a URL starting with sqlite: or mysql:/],
		["MESH_NAME", "blue.green", /MESH_NAME must be at most 32 letters, digits, - and _/],
		["MESH_NAME", "blue green", /MESH_NAME must be/],
		["MESH_NAME", ">", /MESH_NAME must be/],
		["MESH_NAME", "m".repeat(33), /MESH_NAME must be/],
		["NODE_NAME", "a b", /NODE_NAME must be at most 128 characters, no blank/],
		["NODE_NAME", "a.*", /NODE_NAME must be/],
		["NODE_NAME", "n".repeat(129), /NODE_NAME must be/],
		["ETCD_ENDPOINTS", "htp://etcd:2379", /ETCD_ENDPOINTS must be a list of host:port/],
		["ETCD_ENDPOINTS", "http://etcd:2379,not a url", /ETCD_ENDPOINTS must be/],
		["ETCD_ENDPOINTS", "http://etcd:2379/v3", /ETCD_ENDPOINTS must be/],
		["JAEGER_AGENT", "jaeger:port", /JAEGER_AGENT must be host:port/],
		["JAEGER_AGENT", "jaeger:65536", /JAEGER_AGENT must be host:port/],
		["TRACE_EXPORTER", "zipkin", /TRACE_EXPORTER=zipkin needs ZIPKIN_URL/],
		["TLS_CA_FILE", "/", /TLS_CA_FILE must be the path of a file/],
		["NATS_URL", "127.0.0.1:4222", /NATS_URL must be a URL/],
		["JWT_KEYS", `a:${SECRET},b:${SECRET}, a:${SECRET}x`, /JWT_KEYS must not name a key twice/],
		["JWT_KEYS", "no-colon", /JWT_KEYS must be a list of name:secret/],
		["JWT_KEYS", "a:short", /JWT_KEYS needs secrets of at least 32 bytes \(key "a" is shorter\)/],
		["TLS_CA_FILE", "/no/such/file.pem", /TLS_CA_FILE must be the path of a file that can be read/],
		["TLS_CERT_FILE", import.meta.filename, /TLS_CERT_FILE and TLS_KEY_FILE must be set together/],
		["CORS_ORIGINS", "*", /CORS_ORIGINS must be a list of origins/],
		["CORS_ORIGINS", "https://notes.example.com/", /CORS_ORIGINS must be a list of origins/],
		["CORS_ORIGINS", "notes.example.com", /CORS_ORIGINS must be a list of origins/],
		["CORS_ORIGINS", "null", /CORS_ORIGINS must be a list of origins/],
		["CORS_ORIGINS", "https://*.example.com", /CORS_ORIGINS must be a list of origins/],
		["TRUST_PROXY", "true", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "10.0.0.0/33", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "10.0.0.0/8/8", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "0.0.0.0/0", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "10.0.0.1, ::/0", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "10.0.0.0/00", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "::10.0.0.1", /TRUST_PROXY must be a list of addresses/],
		["TRUST_PROXY", "1", /TRUST_PROXY must be a list of addresses/],
		["MESH_KEYS", `a:${SECRET},a:${SECRET}`, /MESH_KEYS must not name a key twice/],
		["MESH_KEYS", "a:short", /MESH_KEYS needs secrets of at least 32 bytes/],
		["RATE_LIMIT_WITHOUT_REDIS", "maybe", /RATE_LIMIT_WITHOUT_REDIS must be one of memory, open, closed/],
		["JAEGER_SAMPLE_RATE", "2", /JAEGER_SAMPLE_RATE must be a number from 0 to 1/]
	];
	for (const [name, value, rule] of bad)
		it(`refuses ${name}=${value}`, () => {
			assert.throws(() => readEnv({ [name]: value }), rule);
		});

	const unusable: [name: string, value: string][] = [
		["NATS_URL", "nats://notemesh:s3cr3t#x@nats:4222"],
		["NATS_URL", "nats://notemesh:4222#s3cr3t@nats:4222"],
		["NATS_URL", "nats://notemesh:s3cr3t/x@nats:4222"],
		["NATS_URL", "nats://notemesh:12/s3cr3t@nats:4222"],
		["NATS_URL", "nats://notemesh:s3cr3t%@nats:4222"],
		["NATS_URL", "nats://notemesh:s3cr3t@nats:99999"],
		["NATS_URL", "nats://notemesh:s3cr3t@a:4222,b:4222"],
		["NATS_URL", "nats://notemesh:s3cr3t@a:4222, nats://b:port"],
		["NATS_URL", "nats://notemesh:s3cr3t@a:4222,"],
		["NATS_URL", "nats://"],
		["REDIS_URL", "rediss://:s3cr3t?x@redis:6379"],
		["REDIS_URL", "rediss://cache:12?s3cr3t@redis:6379"],
		["REDIS_URL", "redis:s3cr3t"],
		["DATABASE_URL", "mysql://notemesh:s3cr3t#x@mysql/notemesh_{service}"],
		["JAEGER_ENDPOINT", "http://"],
		["ZIPKIN_URL", "http://notemesh:s3cr3t@"]
	];
	for (const [name, value] of unusable)
		it(`refuses ${name}=${value}, and does not print its password`, () => {
			assert.throws(
				() => readEnv({ [name]: value }),
				({ message }: Error) => message.includes(`${name} must be a URL`) && !message.includes("s3cr3t")
			);
		});

	it("refuses a password in ETCD_ENDPOINTS, and does not print it", () => {
		assert.throws(
			() => readEnv({ ETCD_ENDPOINTS: "http://root:s3cr3t@etcd:2379" }),
			({ message }: Error) => message.includes("ETCD_ENDPOINTS must be a list") && !message.includes("s3cr3t")
		);
	});

	it("takes etcd's endpoints with and without a scheme", () => {
		const { ETCD_ENDPOINTS, JAEGER_AGENT } = readEnv({
			ETCD_ENDPOINTS: "etcd-1:2379, https://etcd-2:2379,http://[::1]:2379/",
			JAEGER_AGENT: "jaeger"
		});
		assert.deepEqual(ETCD_ENDPOINTS, ["etcd-1:2379", "https://etcd-2:2379", "http://[::1]:2379/"]);
		assert.equal(JAEGER_AGENT, "jaeger");
	});

	const usable: [name: "NATS_URL" | "DATABASE_URL" | "REDIS_URL", value: string][] = [
		["NATS_URL", "nats://notemesh:s3cr3t%23x@a:4222, nats://b:4222"],
		["NATS_URL", "tls://token@[::1]:4222"],
		["REDIS_URL", "rediss://:s3cr3t%2Fx@redis:6379/1"],
		["DATABASE_URL", "mysql://notemesh_{service}:a,b@{service}.db:3306/notemesh_{service}?ssl=true"],
		["DATABASE_URL", "sqlite:/srv/100% of #1/{service}.sqlite"]
	];
	for (const [name, value] of usable)
		it(`takes ${name}=${value} as it is`, () => {
			assert.equal(readEnv({ [name]: value })[name], value);
		});

	for (const rate of ["0.5", "2"])
		it(`refuses a constant sampler with JAEGER_SAMPLE_RATE=${rate}, beside what else is wrong`, () => {
			assert.throws(
				() => readEnv({ JAEGER_SAMPLER: "const", JAEGER_SAMPLE_RATE: rate, PORT: "x" }),
				({ message }: Error) =>
					/^ {2}- JAEGER_SAMPLE_RATE must be 0 or 1 with JAEGER_SAMPLER=const$/m.test(message) && /- PORT/.test(message)
			);
		});

	it("takes a constant sampler of all traces and of none", () => {
		for (const rate of ["0", "1"])
			assert.equal(readEnv({ JAEGER_SAMPLER: "const", JAEGER_SAMPLE_RATE: rate }).JAEGER_SAMPLE_RATE, Number(rate));
	});

	it("names every bad variable in one message", () => {
		assert.throws(() => readEnv({ PORT: "x", LOG_LEVEL: "y" }), /PORT[\s\S]*LOG_LEVEL|LOG_LEVEL[\s\S]*PORT/);
	});

	it("reads origins and proxies", () => {
		const env = readEnv({
			CORS_ORIGINS: "https://a.example,http://localhost:5173",
			TRUST_PROXY: "loopback, 10.0.0.0/8, ::1"
		});
		assert.deepEqual(env.CORS_ORIGINS, ["https://a.example", "http://localhost:5173"]);
		assert.deepEqual(env.TRUST_PROXY, ["loopback", "10.0.0.0/8", "::1"]);
	});

	it("gives a database URL the TLS files where it asks for TLS, and only there", () => {
		const file = import.meta.filename;
		const url = (query: string) =>
			databaseUrl(
				readEnv({ DATABASE_URL: `mysql://x/{service}${query}`, JWT_KEYS: `a:${SECRET}`, TLS_CA_FILE: file }),
				"note"
			);
		assert.equal(url("?ssl=true"), `mysql://x/note?ssl=true&ssl-ca=${encodeURIComponent(file)}`);
		assert.equal(url(""), "mysql://x/note");
	});

	it("does not print a secret that it refuses", () => {
		assert.throws(
			() => readEnv({ JWT_KEYS: "a:tooshortsecret" }),
			(error: Error) => !error.message.includes("tooshortsecret")
		);
	});
});
