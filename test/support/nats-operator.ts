import { createHash, randomBytes } from "node:crypto";
import { nkeys } from "nats";

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** The configuration of a NATS server in operator mode with one account and one user, and that user's credentials file. */
export interface NatsOperator {
	config: string;
	credentials: string;
}

/**
 * Makes the keys and JWTs that `nsc` would make (NATS documentation, "JWT authentication"). The account may do anything.
 */
export function createOperator(): NatsOperator {
	const operator = nkeys.createOperator();
	const account = nkeys.createAccount();
	const user = nkeys.createUser();

	const operatorJwt = signed(operator, operator, "operator", {});
	const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
	const accountJwt = signed(operator, account, "account", { limits: unlimited });
	const userJwt = signed(account, user, "user", { subs: -1, data: -1, payload: -1 });

	return {
		config: `
			operator: ${operatorJwt}
			resolver: MEMORY
			resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }
		`,
		credentials: [
			"-----BEGIN NATS USER JWT-----",
			userJwt,
			"------END NATS USER JWT------",
			"",
			"-----BEGIN USER NKEY SEED-----",
			Buffer.from(user.getSeed()).toString(),
			"------END USER NKEY SEED------",
			""
		].join("\n")
	};
}

function signed(issuer: KeyPair, subject: KeyPair, type: string, rights: object): string {
	const claims = {
		jti: createHash("sha256").update(randomBytes(16)).digest("hex"),
		iat: Math.floor(Date.now() / 1000),
		iss: issuer.getPublicKey(),
		name: type,
		sub: subject.getPublicKey(),
		nats: { ...rights, type, version: 2 }
	};
	const encoded = [{ typ: "JWT", alg: "ed25519-nkey" }, claims].map(part =>
		Buffer.from(JSON.stringify(part)).toString("base64url")
	);
	const text = encoded.join(".");
	return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString("base64url")}`;
}
