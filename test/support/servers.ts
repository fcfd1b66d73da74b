import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { findCommand } from "../../scripts/servers/find-command.ts";
import { debianPackages, installationHint, type ServerCommand } from "../../scripts/servers/installation.ts";

const INSTALL_SCRIPT = join(import.meta.dirname, "../../scripts/servers/install-debian.sh");

const COMMANDS = {
	nats: "nats-server",
	etcd: "etcd",
	etcdctl: "etcdctl",
	mariadb: "mariadbd",
	redis: "redis-server",
	prometheus: "prometheus",
	curl: "curl",
	openssl: "openssl",
	chromium: "chromium",
	faketime: "faketime"
} as const;

const run = promisify(execFile);

/**
 * Makes sure that real servers can be started, for suites that need them:
 *
 *     describe("The registry", await requireServers("nats", "etcd"), () => { ... });
 *
 * Missing ones are installed when we are root on Debian. Elsewhere the suite is skipped with a reason that tells how to
 * get them.
 *
 * @throws Error when a server is missing although `CI` is "true", or when its installation fails
 */
export async function requireServers(...names: (keyof typeof COMMANDS)[]): Promise<{ skip: string | false }> {
	const commands = names.map(name => COMMANDS[name]);
	if (missing(commands).length > 0 && canInstall()) await install(missing(commands));

	const lacking = missing(commands);
	if (lacking.length === 0) return { skip: false };

	const reason = `needs ${lacking.join(", ")}: ${installationHint(lacking)}`;
	if (process.env.CI === "true") throw new Error(reason);
	return { skip: reason };
}

function missing(commands: ServerCommand[]): ServerCommand[] {
	return commands.filter(command => !findCommand(command));
}

function canInstall(): boolean {
	return process.getuid?.() === 0 && findCommand("apt-get") !== undefined;
}

async function install(commands: ServerCommand[]): Promise<void> {
	const packages = debianPackages(commands);
	console.log(`Installing ${packages.join(", ")} with apt-get`);
	await run(INSTALL_SCRIPT, packages);
}
