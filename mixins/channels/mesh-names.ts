import type { ConsumerDefinition, StoredMessage, Transport } from "./transport.ts";

/**
 * Keeps the streams of a mesh apart from those of other meshes on the same server: there, the names of streams and their
 * subjects begin with the name of the mesh. Nobody above the transport sees that.
 * @param mesh a name that can be part of a stream's: no dots, wildcards, spaces or slashes
 */
export function withMeshNames(transport: Transport, mesh: string): Transport {
	const streamPrefix = `${mesh}-`;
	const subjectPrefix = `${mesh}.`;
	const streamOf = (name: string) => streamPrefix + name;
	const subjectOf = (subject: string) => subjectPrefix + subject;
	const consumerOf = (definition: ConsumerDefinition): ConsumerDefinition => ({
		...definition,
		stream: streamOf(definition.stream),
		...(definition.subject !== undefined && { subject: subjectOf(definition.subject) })
	});
	const seen = <Message extends Pick<StoredMessage, "stream" | "subject">>(message: Message): Message => ({
		...message,
		stream: message.stream.slice(streamPrefix.length),
		subject: message.subject.slice(subjectPrefix.length)
	});
	return {
		declareStream: ({ name, subjects, ...settings }) =>
			transport.declareStream({ ...settings, name: streamOf(name), subjects: subjects.map(subjectOf) }),
		declareConsumer: definition => transport.declareConsumer(consumerOf(definition)),
		async publish({ stream, subject, ...message }) {
			const published = await transport.publish({ ...message, stream: streamOf(stream), subject: subjectOf(subject) });
			return { ...published, stream };
		},
		subscribe: (definition, declare, accept) =>
			transport.subscribe(consumerOf(definition), declare, delivery => accept(seen(delivery))),
		streamState: stream => transport.streamState(streamOf(stream)),
		consumerState: definition => transport.consumerState(consumerOf(definition)),
		async next(stream, seq, subject) {
			const message = await transport.next(streamOf(stream), seq, subjectOf(subject));
			return message && seen(message);
		},
		remove: (stream, seq) => transport.remove(streamOf(stream), seq),
		onReconnect: listener => transport.onReconnect(listener),
		close: () => transport.close()
	};
}
