import type { Service } from "moleculer";
import type { ChannelsMethods } from "./channels.ts";
import type { OutgoingMessage } from "./transport.ts";

/** What an outbox publishes through, where the service has channels: `OutboxMixin({ publisher: throughChannels })`. */
export function throughChannels(service: Service) {
	const { channels, name } = service as Service & Partial<ChannelsMethods>;
	if (!channels)
		throw new Error(`Service '${name}': the channels mixin stands after the outbox mixin in the list of mixins`);
	return {
		streams: channels.streams,
		check: ({ stream, subject }: { stream: string; subject: string }) => channels.assertTakes(stream, subject),
		// A stream that is gone is not made anew on the way: the relay has to see that it was.
		publish: (message: OutgoingMessage) => channels.publish(message, { declare: false }),
		streamState: (stream: string) => channels.declare(stream, { again: true }),
		onInterruption: (listener: () => void) => channels.transport.onReconnect(listener)
	};
}
