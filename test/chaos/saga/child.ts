/** A process of the matrix: a coordinator or participants, as the variable CHAOS says. */
import { flushCompileCache } from "node:module";
import { ServiceBroker } from "moleculer";
import { startCoordinator } from "./coordinator.ts";
import type { Mutation } from "./mutations.ts";
import { startParticipants } from "./participant.ts";
import { connect } from "./world.ts";

/** What a child is told. */
export interface ChildOptions {
	role: "coordinator" | "participant";
	name: string;
	isVictim: boolean;
	nats: string;
	urls: { owner: string; other: string };
	mutation?: Mutation | undefined;
}

const { role, name, isVictim, nats, urls, mutation } = JSON.parse(process.env.CHAOS ?? "{}") as ChildOptions;
const databases = connect(urls);
const broker = new ServiceBroker({
	nodeID: name,
	transporter: { type: "NATS", options: { url: nats } },
	logLevel: "fatal",
	requestTimeout: 0
});
if (role === "coordinator") await startCoordinator(broker, databases, { name, isVictim, mutation });
else await startParticipants(broker, databases, { prefix: isVictim ? `${name}.` : "", mutation });
// Victims end without a chance to.
if (!isVictim) flushCompileCache();
console.log("ready");
