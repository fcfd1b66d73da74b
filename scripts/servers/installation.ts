// The smallest package that holds the server; mariadb-server-core, unlike mariadb-server, brings no system service.
const PACKAGES = {
	"nats-server": { debian: "nats-server", homebrew: "nats-server" },
	etcd: { debian: "etcd-server", homebrew: "etcd" },
	etcdctl: { debian: "etcd-client", homebrew: "etcd" },
	mariadbd: { debian: "mariadb-server-core", homebrew: "mariadb" },
	"redis-server": { debian: "redis-server", homebrew: "redis" },
	prometheus: { debian: "prometheus", homebrew: "prometheus" },
	curl: { debian: "curl", homebrew: "curl" },
	openssl: { debian: "openssl", homebrew: "openssl" },
	chromium: { debian: "chromium", homebrew: "chromium" },
	faketime: { debian: "faketime", homebrew: "libfaketime" }
};

/** An executable that Notemesh or its tests run: the servers, and tools such as curl for the commands of the README. */
export type ServerCommand = keyof typeof PACKAGES;

/** The Debian packages that hold these servers. */
export function debianPackages(commands: ServerCommand[]): string[] {
	return commands.map(command => PACKAGES[command].debian);
}

/** One line that tells how to install these servers. */
export function installationHint(commands: ServerCommand[]): string {
	const homebrew = commands.map(command => PACKAGES[command].homebrew);
	return `apt-get install ${debianPackages(commands).join(" ")} (Debian), brew install ${homebrew.join(" ")} (macOS)`;
}
