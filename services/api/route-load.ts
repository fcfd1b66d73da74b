/** A service had no room: so much of what is under way may be from now on, so that the next ones find some. */
const LESS = 0.75;
/** By so much that grows again with each sample in which there was room: 0.6 s until as many are under way as before. */
const MORE = 1.05;
/** A service that takes none at all is tried with so many. */
const LEAST = 2;

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
	};

	/** Tells that a service had no room for a request of this route which is still under way. */
	refused(): void {
		// Those that were under way together are refused together: that is one refusal.
		if (!this.#wasRefused) this.#limit = Math.max(LEAST, Math.floor(this.#inFlight * LESS));
		this.#wasRefused = true;
	}

	/** Ends a sample. @param most from where on there is no limit */
	sample(most: number): void {
		if (!this.#wasRefused) this.#limit = this.#limit < most ? Math.ceil(this.#limit * MORE) : Number.POSITIVE_INFINITY;
		this.#wasRefused = false;
	}
}
