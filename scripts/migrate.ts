import { databaseUrl, readEnv } from "../lib/env.ts";
import { acquire } from "../mixins/db/connection.ts";
import { createDatabase } from "../mixins/db/create-database.ts";
import { withoutPassword } from "../mixins/db/mysql-url.ts";
import { applied, migrate, migratedServices, pending, rollback } from "../models/migrator.ts";

const USAGE = `Usage: node scripts/migrate.ts <command> [service ...]

Without a service, the command is for all of them.

	up        applies the pending migrations; creates a missing database
	down [n]  takes back the last n migrations (default 1) of each service
	status    lists what is applied and what is pending`;

type Command = (sequelize: Parameters<typeof migrate>[0], service: string) => Promise<string[]>;

function listed(verb: string, names: string[]): string[] {
	return names.length > 0 ? names.map(name => `${verb} ${name}`) : [`nothing ${verb}`];
}

function commandOf(name: string | undefined, count: number): Command | undefined {
	switch (name) {
		case "up":
			return async (sequelize, service) => listed("applied", await migrate(sequelize, service));
		case "down":
			return async (sequelize, service) => listed("taken back", await rollback(sequelize, service, count));
		case "status":
			return async (sequelize, service) => [
				...listed("applied", await applied(sequelize, service)),
				...listed("pending", await pending(sequelize, service))
			];
		default:
			return undefined;
	}
}

async function main([name, ...rest]: string[]): Promise<void> {
	const counted = name === "down" && /^\d+$/.test(rest[0] ?? "");
	const command = commandOf(name, counted ? Number(rest.shift()) : 1);
	const services = rest.length > 0 ? rest : migratedServices();
	const unknown = services.filter(service => !migratedServices().includes(service));
	if (!command || unknown.length > 0) {
		const problem = unknown.length > 0 ? `No migrations for: ${unknown.join(", ")}\n\n` : "";
		throw new Error(`${problem}${USAGE}`);
	}

	const env = readEnv();
	for (const service of services) {
		const url = databaseUrl(env, service);
		if (name === "up" && (await createDatabase(url))) console.log(`${service}: created ${withoutPassword(url)}`);
		const { sequelize, release } = acquire(url);
		try {
			for (const line of await command(sequelize, service)) console.log(`${service}: ${line}`);
		} finally {
			await release();
		}
	}
}

main(process.argv.slice(2)).catch(error => {
	console.error(error instanceof Error ? error.message : error);
	process.exitCode = 1;
});
