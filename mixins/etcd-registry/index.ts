export { EtcdDiscoverer } from "./discoverer.ts";
export { NatsTransporter, type NatsTransporterOptions } from "./nats-transporter.ts";
export type { BackoffOptions, EtcdAuth, EtcdDiscovererOptions, EtcdTls, SuspectOptions } from "./options.ts";
export { RegistryMixin, type RegistryMixinOptions } from "./registry.mixin.ts";
export { registryCommands } from "./repl.ts";
export { VERSION_HEADER, WeightedStrategy, type WeightedStrategyOptions } from "./strategy.ts";
