import { freePort } from "./free-port.ts";
import { LocalServer, type ServerOptions, withDefaults } from "./server.ts";

export interface EtcdOptions extends ServerOptions {
	/** The member's name in its cluster; "etcd" by default. */
	member?: string;
	/** Port for the other members; a free one by default. */
	peerPort?: number;
	/** All members as `name=http://127.0.0.1:peerPort,...`; by default this one alone. */
	initialCluster?: string;
	/** PEM files for TLS on the client port. With `trustedCaFile`, clients must show a certificate signed by it. */
	tls?: { certFile: string; keyFile: string; trustedCaFile?: string };
}

/**
 * Starts one etcd member and waits until its /health says that it has a leader; with `initialCluster`, that takes a
 * majority of the members, so start them at the same time (see `startEtcdCluster`).
 */
export async function startEtcd(options: EtcdOptions = {}): Promise<LocalServer> {
	const { port, dataDir, args } = await withDefaults("etcd", options);
	const { member = "etcd", tls } = options;
	const url = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
	const peerUrl = peerUrlOf(options.peerPort ?? (await freePort()));
	// Serves /health and /metrics without TLS and without authentication, whatever the client port asks for.
	const metricsUrl = `http://127.0.0.1:${await freePort()}`;

	const server = new LocalServer({
		name: "etcd",
		command: "etcd",
		args: [
			...["--name", member, "--data-dir", dataDir, "--logger", "zap"],
			...["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-metrics-urls", metricsUrl],
			...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
			...["--initial-cluster", options.initialCluster ?? `${member}=${peerUrl}`],
			...(tls ? ["--cert-file", tls.certFile, "--key-file", tls.keyFile] : []),
			...(tls?.trustedCaFile ? ["--client-cert-auth", "--trusted-ca-file", tls.trustedCaFile] : []),
			...args
		],
		port,
		dataDir,
		url,
		async check() {
			const response = await fetch(`${metricsUrl}/health`, { signal: AbortSignal.timeout(1000) });
			const health = await response.text();
			if (!response.ok || !health.includes('"health":"true"')) throw new Error(`etcd is not healthy: ${health}`);
		}
	});
	await server.start();
	return server;
}

/**
 * Starts an etcd cluster of `size` members named member1, member2, ... and waits until each sees a leader. Stop the
 * members one after another, or kill them: stopped all at once, the leader seeks a successor for 7 seconds.
 */
export async function startEtcdCluster(size: number): Promise<LocalServer[]> {
	const peerPorts = await Promise.all(Array.from({ length: size }, freePort));
	const members = peerPorts.map((peerPort, index) => ({ member: `member${index + 1}`, peerPort }));
	const initialCluster = members.map(({ member, peerPort }) => `${member}=${peerUrlOf(peerPort)}`).join(",");
	return Promise.all(members.map(member => startEtcd({ ...member, initialCluster })));
}

function peerUrlOf(port: number): string {
	return `http://127.0.0.1:${port}`;
}
