/** Everything that goes wrong in `npm run chaos`, in the order in which it does. */
import { findCommand } from "../../scripts/servers/find-command.ts";
import { requireNamespaces } from "../support/namespaces.ts";
import { Embedded } from "./embedded.ts";
import {
	clockStepped,
	databaseClockStepped,
	type EmbeddedFault,
	hostCut,
	type MeshFault,
	nodesFrozen,
	nodesKilled,
	oneAfterTheOther,
	serverFrozen,
	serverKilled,
	serverStutters,
	storm
} from "./fault.ts";

const HOUR = 3600;
const needsNamespaces = () => requireNamespaces().skip;
const needsFaketime = () => (findCommand("faketime") ? false : "needs the Debian package faketime");

export const meshFaults: readonly MeshFault[] = [
	{
		...{ name: "note-killed", what: "kill -9 of one of two note nodes", seconds: 4 },
		...{ failures: true, expected: "what the node was doing fails; the other node serves" },
		...nodesKilled("note-1")
	},
	{
		...{ name: "note-frozen", what: "SIGSTOP of one of two note nodes", seconds: 8 },
		...{ failures: true, expected: "requests to it fail until its lease ends; the other node serves" },
		...nodesFrozen("note-1")
	},
	{
		...{ name: "notes-killed", what: "kill -9 of the only note node", seconds: 3 },
		...{ failures: true, expected: "503 until it is back" },
		...nodesKilled("note-1"),
		arrange: mesh => mesh.stopNode("note-2"),
		tidy: mesh => mesh.startNode("note-2")
	},
	{
		...{ name: "notes-frozen", what: "SIGSTOP of the only note node", seconds: 8 },
		...{ failures: true, expected: "503 or 504 until it goes on" },
		...nodesFrozen("note-1"),
		arrange: mesh => mesh.stopNode("note-2"),
		tidy: mesh => mesh.startNode("note-2")
	},
	{
		...{ name: "user-killed", what: "kill -9 of the only user node", seconds: 3 },
		...{ failures: true, expected: "notes go on without their authors' names; registrations fail until it is back" },
		...nodesKilled("user-1")
	},
	{
		...{ name: "points-killed", what: "kill -9 of the only points node", seconds: 4 },
		...{ failures: true, expected: "notes go on; registrations wait, answered with 202" },
		...nodesKilled("points-1")
	},
	{
		...{ name: "audit-killed", what: "kill -9 of the only audit node", seconds: 4 },
		...{ failures: false, expected: "nothing; the log catches up" },
		...nodesKilled("audit-1")
	},
	{
		...{ name: "api-killed", what: "kill -9 of one of two gateways", seconds: 4 },
		...{ failures: true, noAnswer: true, expected: "its connections end; clients go to the other one" },
		...nodesKilled("api-1")
	},
	{
		...{ name: "api-frozen", what: "SIGSTOP of one of two gateways", seconds: 6 },
		...{ failures: true, noAnswer: true, expected: "its clients wait; the others notice nothing" },
		...nodesFrozen("api-1")
	},
	{
		...{ name: "nats-killed", what: "kill -9 of NATS, restart on its data", seconds: 4 },
		...{ failures: true, expected: "503 until it is back" },
		...serverKilled("nats")
	},
	{
		...{ name: "nats-frozen", what: "SIGSTOP of NATS for longer than a request may take", seconds: 13 },
		...{ failures: true, expected: "requests wait, then 504; none is executed later" },
		...serverFrozen("nats")
	},
	{
		...{ name: "nats-wiped", what: "kill -9 of NATS, restart without its streams", seconds: 3 },
		...{ failures: true, expected: "as above; outboxes publish again, the audit log is complete" },
		...serverKilled("nats", { wiped: true })
	},
	{
		...{ name: "etcd-killed", what: "kill -9 of etcd, restart on its data after the leases", seconds: 8 },
		...{ failures: false, expected: "nothing" },
		...serverKilled("etcd")
	},
	{
		...{ name: "etcd-frozen", what: "SIGSTOP of etcd for longer than a lease", seconds: 8 },
		...{ failures: false, expected: "nothing" },
		...serverFrozen("etcd")
	},
	{
		...{ name: "etcd-wiped", what: "kill -9 of etcd, restart without its data", seconds: 3, quick: true },
		...{ failures: false, expected: "nothing" },
		...serverKilled("etcd", { wiped: true })
	},
	{
		...{ name: "mariadb-killed", what: "kill -9 of MariaDB, restart on its data", seconds: 4 },
		...{ failures: true, expected: "503 until it is back" },
		...serverKilled("mariadb")
	},
	{
		...{ name: "mariadb-frozen", what: "SIGSTOP of MariaDB for longer than a request may take", seconds: 13 },
		...{ failures: true, expected: "requests wait, then 503 or 504" },
		...serverFrozen("mariadb")
	},
	{
		...{ name: "mariadb-stutters", what: "SIGSTOP and SIGCONT of MariaDB every 0.3 s", seconds: 6 },
		...{ failures: false, expected: "slower answers" },
		...serverStutters("mariadb", 300)
	},
	{
		...{ name: "database-slow", what: "every packet between the note nodes and MariaDB 50 ms late", seconds: 6 },
		...{ failures: false, expected: "slower answers" },
		arrange: async mesh => {
			await mesh.restart("note-1", mesh.slowDatabase);
			await mesh.restart("note-2", mesh.slowDatabase);
		},
		strike: async mesh => {
			mesh.slowWay.delay = 50;
		},
		heal: async mesh => {
			mesh.slowWay.delay = 0;
		},
		tidy: async mesh => {
			await mesh.restart("note-1");
			await mesh.restart("note-2");
		}
	},
	{
		...{ name: "redis-killed", what: "kill -9 of Redis, restart without its data: it keeps none", seconds: 4 },
		...{ failures: false, expected: "nothing; each gateway counts for itself" },
		...serverKilled("redis")
	},
	{
		...{ name: "redis-frozen", what: "SIGSTOP of Redis", seconds: 4 },
		...{ failures: false, expected: "each request up to 0.25 s slower for each limit" },
		...serverFrozen("redis")
	},
	{
		...{ name: "host-cut", what: "a host with one of two note nodes cut off from NATS, etcd and MariaDB", seconds: 8 },
		...{
			failures: true,
			expected: "requests to it fail until its lease ends; the other node serves",
			whyNot: needsNamespaces
		},
		...hostCut("note-2", "nats", "etcd", "database")
	},
	{
		...{ name: "host-without-database", what: "the same host cut off from MariaDB only", seconds: 6 },
		...{ failures: true, expected: "requests to it fail", whyNot: needsNamespaces },
		...hostCut("note-2", "database")
	},
	{
		...{
			name: "clock-forward",
			what: "the clocks of both note nodes and of audit-1 step an hour forward, and back",
			seconds: 4
		},
		...{ failures: false, expected: "nothing but odd times", whyNot: needsFaketime },
		...clockStepped(HOUR, "note-1", "note-2", "audit-1")
	},
	{
		...{
			name: "clock-back",
			what: "the clocks of both note nodes and of audit-1 step an hour back, and forward",
			seconds: 4
		},
		...{ failures: false, expected: "nothing but odd times", whyNot: needsFaketime },
		...clockStepped(-HOUR, "note-1", "note-2", "audit-1")
	},
	{
		...{ name: "database-clock-forward", what: "the clock of MariaDB steps an hour forward, and back", seconds: 4 },
		...{ failures: false, expected: "nothing but odd times", whyNot: needsFaketime },
		...databaseClockStepped(HOUR)
	},
	{
		...{ name: "database-clock-back", what: "the clock of MariaDB steps an hour back, and forward", seconds: 4 },
		...{ failures: false, expected: "nothing but odd times", whyNot: needsFaketime },
		...databaseClockStepped(-HOUR)
	},
	{
		...{
			name: "database-behind",
			what: "the clock of MariaDB steps an hour back; note and user nodes are killed",
			seconds: 3
		},
		...{
			failures: true,
			expected: "as for the nodes alone: leases that seem to last an hour do not",
			whyNot: needsFaketime
		},
		...databaseClockStepped(-HOUR, nodesKilled("note-1", "note-2", "user-1"))
	},
	{
		...{
			name: "one-after-the-other",
			what: "kill -9 of a note node, NATS, etcd (both wiped) and MariaDB, each for 1 s"
		},
		...{ seconds: 0, failures: true, expected: "as each alone", quick: true },
		...oneAfterTheOther(
			1,
			nodesKilled("note-1"),
			serverKilled("nats", { wiped: true }),
			serverKilled("etcd", { wiped: true }),
			serverKilled("mariadb")
		)
	},
	{
		...{
			name: "storm",
			what: "for 20 s, up to three at a time, nodes and servers killed and frozen by chance",
			seconds: 0
		},
		...{ failures: true, noAnswer: true, expected: "much fails; nothing is lost" },
		...storm(20, [
			nodesKilled("note-1"),
			nodesFrozen("note-2"),
			nodesKilled("user-1"),
			nodesKilled("points-1"),
			nodesFrozen("audit-1"),
			nodesKilled("api-1"),
			nodesFrozen("api-2"),
			serverKilled("nats"),
			serverKilled("etcd"),
			serverFrozen("mariadb"),
			serverKilled("redis")
		])
	}
];

export const embeddedFaults: readonly EmbeddedFault[] = [
	{
		...{ name: "disk-full", what: "the disk of the embedded databases is full", seconds: 4 },
		...{ failures: true, expected: "writes fail with 503, reads go on", whyNot: Embedded.whyNot },
		strike: async embedded => embedded.fillDisk(),
		heal: async embedded => embedded.emptyDisk()
	},
	{
		...{ name: "embedded-killed", what: "kill -9 of the one process", seconds: 1, noAnswer: true },
		...{ failures: true, expected: "nothing answers until it is started again", whyNot: Embedded.whyNot },
		strike: embedded => embedded.kill(),
		heal: embedded => embedded.startAgain()
	}
];
