import { readFileSync } from "node:fs";

/** How to reach a MySQL server, in the words of mysql2. */
export interface MysqlServer {
	host: string;
	port: number;
	user: string;
	password: string;
	database: string;
	/** TLS with a valid certificate, or none. */
	ssl?: object;
}

/**
 * Reads `mysql://user:password@host:3306/database?ssl=true`; user, password and database may be percent-encoded. With TLS,
 * `ssl-ca` names the file of the authority that signed the server's certificate (else Node's authorities are asked), and
 * `ssl-cert` and `ssl-key` those of a client certificate.
 *
 * @throws Error for any other kind of URL, and where one of these files can not be read
 */
export function parseMysqlUrl(url: string): MysqlServer {
	if (!/^(?:mysql|mariadb):\/\//.test(url))
		throw new Error(
			`Unknown database URL ${withoutPassword(url)}: sqlite:<file> or mysql://<host>/<database> expected`
		);
	const { hostname, port, username, password, pathname, searchParams } = new URL(url);
	return {
		host: hostname,
		port: Number(port || 3306),
		user: decodeURIComponent(username),
		password: decodeURIComponent(password),
		database: decodeURIComponent(pathname.slice(1)),
		...(searchParams.get("ssl") === "true" ? { ssl: certificates(searchParams) } : {})
	};
}

function certificates(parameters: URLSearchParams): object {
	const files = { ca: "ssl-ca", cert: "ssl-cert", key: "ssl-key" };
	return Object.fromEntries(
		Object.entries(files).flatMap(([name, parameter]) => {
			const path = parameters.get(parameter);
			return path ? [[name, readFileSync(path)]] : [];
		})
	);
}

/** The URL as it may be shown in a log: without user and password. */
export function withoutPassword(url: string): string {
	return url.replace(/\/\/[^/]*@/, "//");
}
