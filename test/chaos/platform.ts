/** A running Notemesh that a fault can strike, in whichever shape. */
export interface Platform {
	/** URLs of the gateways. */
	readonly gateways: readonly string[];
	/** The URL of a service's database, as seen by somebody whom no fault is in the way of. */
	databaseUrl(service: string): string;
	/** Processes that have ended although no fault has ended them. */
	endedByThemselves(): string[];
	stop(): Promise<void>;
}
