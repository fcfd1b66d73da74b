import { errors, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import type { NamedKey } from "./env-rules.ts";
import type { Identity } from "./identity.ts";

const ALGORITHM = "HS256";
const ISSUER = "notemesh";
const AUDIENCE = "notemesh-api";
/** RFC 9068: keeps other JWTs that the same key may have signed from being taken for access tokens. */
const TYPE = "at+jwt";
/** Tokens of users who were here last; a token is about 300 bytes. */
const REMEMBERED = 10_000;

/** A signed access token and its end in milliseconds since the epoch. */
interface SignedToken {
	token: string;
	expiresAt: number;
}

export interface AccessTokens {
	/** Signs a token for `identity` that lives for `seconds`. */
	sign(identity: Identity, seconds: number): Promise<SignedToken>;
	/** The identity in a valid token; null for any other text. A signature is checked once: nothing can make it false later. */
	verify(token: string): Promise<Identity | null>;
}

/**
 * Signs and verifies access tokens (JWT, HS256). The first key signs and its name stands in the header (`kid`); all keys verify,
 * so that a key can be rotated: every node knows the new one before any signs with it. See docs/operations.md, "Rotate the
 * signing keys".
 * @param maxAge seconds after which a token has ended, also one that was signed to live longer; default: as long as it says
 */
export function accessTokens(keys: readonly NamedKey[], maxAge = Number.POSITIVE_INFINITY): AccessTokens {
	const secrets = new Map(keys.map(key => [key.name, new TextEncoder().encode(key.secret)]));
	const [current] = keys;
	if (!current) throw new Error("No signing key");
	const verified = new LRUCache<string, { identity: Identity; expiresAt: number }>({ max: REMEMBERED });

	return {
		async sign(identity, seconds) {
			const now = Math.floor(Date.now() / 1000);
			const token = await new SignJWT({ sid: identity.session_id, role: identity.role })
				.setProtectedHeader({ alg: ALGORITHM, kid: current.name, typ: TYPE })
				.setSubject(String(identity.id))
				.setIssuer(ISSUER)
				.setAudience(AUDIENCE)
				.setIssuedAt(now)
				.setExpirationTime(now + seconds)
				.sign(secrets.get(current.name) as Uint8Array);
			return { token, expiresAt: (now + seconds) * 1000 };
		},

		async verify(token) {
			const known = verified.get(token);
			if (known && known.expiresAt > Date.now()) return known.identity;
			try {
				const { payload } = await jwtVerify(token, header => secretOf(secrets, header.kid), {
					algorithms: [ALGORITHM],
					issuer: ISSUER,
					audience: AUDIENCE,
					typ: TYPE,
					requiredClaims: ["sub", "sid", "iat", "exp"]
				});
				const expiresAt = Math.min(Number(payload.exp), Number(payload.iat) + maxAge) * 1000;
				if (expiresAt <= Date.now()) return null;
				const identity: Identity = Object.freeze({
					id: Number(payload.sub),
					role: payload.role === "admin" ? "admin" : "user",
					session_id: String(payload.sid)
				});
				verified.set(token, { identity, expiresAt });
				return identity;
			} catch (error) {
				if (error instanceof errors.JOSEError) return null;
				throw error;
			}
		}
	};
}

function secretOf(secrets: ReadonlyMap<string, Uint8Array>, kid: string | undefined): Uint8Array {
	const secret = kid === undefined ? undefined : secrets.get(kid);
	if (!secret) throw new errors.JWKSNoMatchingKey();
	return secret;
}
