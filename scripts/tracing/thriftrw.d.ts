/** What we use of thriftrw, the Thrift implementation that jaeger-client brings; it has no types. */
declare module "thriftrw" {
	interface Decoded<T> {
		err?: Error | null;
		value: T;
	}
	interface Codec<T> {
		readFrom(buffer: Buffer, offset: number): Decoded<T>;
	}
	export class Thrift {
		constructor(options: {
			source?: string;
			entryPoint?: string;
			allowFilesystemAccess?: boolean;
			allowOptionalArguments?: boolean;
		});
		Batch: { rw: Codec<import("./jaeger-thrift.ts").ThriftBatch> };
		Agent: {
			emitBatch: { argumentsMessageRW: Codec<{ body: { batch: import("./jaeger-thrift.ts").ThriftBatch } }> };
		};
	}
}

declare module "jaeger-client/dist/src/thrift.js" {
	const module: { default: { loadJaegerThriftDefinition(): string; buildAgentThriftPath(): string } };
	export default module;
}
