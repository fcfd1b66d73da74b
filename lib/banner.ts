import type { AddressInfo, Server } from "node:net";
import type { ServiceBroker } from "moleculer";

/** What a newcomer reads when the embedded shape is up: where it is, and the first three things to try. Empty without a gateway. */
export function banner(broker: ServiceBroker): string {
	const gateway = broker.getLocalService("api") as unknown as { server: Server } | undefined;
	const address = gateway?.server.address() as AddressInfo | null | undefined;
	if (!address) return "";
	const url = `http://localhost:${address.port}`;
	const json = `-H 'Content-Type: application/json'`;
	return `
  Notemesh is ready on ${url}

  1. Register   curl -s ${url}/v1/user/register ${json} -d '{"username":"lorain","password":"123456"}'
  2. Log in     TOKEN=$(curl -s ${url}/v1/user/login -d 'username=lorain&password=123456' | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
  3. Write      curl -s ${url}/v1/note -H "Authorization: Bearer $TOKEN" ${json} -d '{"title":"Hello","content":"My first note"}'

`;
}
