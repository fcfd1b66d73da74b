/** A consumer that message 13 kills: prints what it did, and "started" when it serves. */
import { ServiceBroker } from "moleculer";
import { ChannelsMixin } from "../../mixins/channels.mixin.ts";
import { consumer, streams } from "./channels.ts";

const [url = ""] = process.argv.slice(2);
const broker = new ServiceBroker({ logger: false });
broker.createService({
	name: "victim",
	mixins: [
		ChannelsMixin({ url: () => url, streams, consumers: [consumer({ ackWait: 300, maxAttempts: 1, concurrency: 5 })] })
	],
	channels: {
		reader: async ctx => {
			const { n } = ctx.params as { n: number };
			if (n === 13) process.kill(process.pid, "SIGKILL");
			process.stdout.write(`done ${n}\n`);
		}
	}
});
await broker.start();
process.stdout.write("started\n");
