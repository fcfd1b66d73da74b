import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";

const run = promisify(execFile);

/**
 * Creates a certificate for 127.0.0.1 and localhost, valid for a day and signed by itself: it serves as server
 * certificate, client certificate and trusted authority at once. Needs `openssl`.
 */
export async function createCertificate(): Promise<{ certFile: string; keyFile: string }> {
	const folder = temporaryFolder("tls");
	const certFile = join(folder, "cert.pem");
	const keyFile = join(folder, "key.pem");

	await run("openssl", [
		...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"],
		...["-subj", "/CN=notemesh", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
		...["-out", certFile, "-keyout", keyFile]
	]);
	return { certFile, keyFile };
}
