/** A service had no room: so much of what is under way may be from now on, so that the next ones find some. */
const LESS = 0.75;
/** By so much that grows again with each sample in which there was room: of many, 0.6 s until as many are under way as before. */
const MORE = 1.05;
/** A service that takes none at all is tried with so many, and a gateway with few requests is let alone. */
const LEAST = 8;

/**
 * How many requests of one route are under way, and how many may be. A service with a full bulkhead refuses calls for which
 * the gateway has done nearly all of its work, which under overload is most of the work there is. So the gateway learns how
 * many the nodes behind a route take together, somewhat as TCP learns what a network takes: fewer when one was refused, then
 * more again step by step.
 */
export class RouteLoad {
	readonly #all: { inFlight: number };
	#inFlight = 0;
	#limit = Number.POSITIVE_INFINITY;
	#wasRefused = false;
	/** How many have yet to end until none of those is under way that were when the limit was last lowered; about, some overtake others. */
	#older = 0;

	/** @param all where the requests of all routes are counted */
	constructor(all: { inFlight: number }) {
		this.#all = all;
	}

	hasRoom(): boolean {
		return this.#inFlight < this.#limit;
	}

	begin(): void {
		this.#inFlight++;
		this.#all.inFlight++;
	}

	/** The same function for all requests: one of each request's own would have to be made and collected. */
	readonly end = (): void => {
		this.#inFlight--;
		this.#all.inFlight--;
		if (this.#older > 0) this.#older--;
	};

	/** Tells that a service had no room for a request of this route which is still under way. */
	refused(): void {
		this.#wasRefused = true;
		// Those that were under way together are refused together, some of them late: that is one refusal.
		if (this.#older > 0) return;
		this.#limit = Math.max(LEAST, Math.floor(this.#inFlight * LESS));
		this.#older = this.#inFlight;
	}

	/** Ends a sample. @param most from where on there is no limit */
	sample(most: number): void {
		if (!this.#wasRefused) this.#limit = this.#limit < most ? Math.ceil(this.#limit * MORE) : Number.POSITIVE_INFINITY;
		this.#wasRefused = false;
	}
}
