import { DEAD_LETTERS } from "./dead-letters.ts";
import { type ConsumerDefinition, overlap, type StreamDefinition, withDefaults } from "./transport.ts";

/** What JetStream takes for a consumer's name. */
const NAME = /^[^\s.*>/\\]+$/;

/**
 * Looks at a consumer before it is served. Found out later, it would be tried again without end: a stream or
 * a message that never comes, or one that can not be buried.
 * @throws Error that says what is wrong
 */
export function assertServable(definition: ConsumerDefinition, streams: readonly StreamDefinition[]): void {
	const { name, stream, subject, concurrency } = withDefaults(definition);
	const takesSome = (taker: string, wanted: string) =>
		streams.find(known => known.name === taker)?.subjects.some(pattern => overlap(pattern, wanted));
	if (!NAME.test(name)) throw new Error(`A consumer's name has no blanks, dots, slashes or wildcards: '${name}'`);
	if (!streams.some(known => known.name === stream))
		throw new Error(`Consumer '${name}' reads the stream ${stream}, which is not among 'streams'`);
	if (!takesSome(stream, subject))
		throw new Error(`Consumer '${name}' reads '${subject}', of which the stream ${stream} takes nothing`);
	if (!takesSome(DEAD_LETTERS.stream, `${DEAD_LETTERS.prefix}.${stream}.${name}`))
		throw new Error(
			`No stream ${DEAD_LETTERS.stream} among 'streams' takes the dead letters '${DEAD_LETTERS.prefix}.>' of '${name}'`
		);
	if (!(concurrency >= 1)) throw new Error(`Consumer '${name}' handles nothing with concurrency ${concurrency}`);
}
