/**
 * A map for what comes and goes all the time, in place of moleculer's `transit.pendingRequests`.
 *
 * V8's `Map` moves its entries to a new table each time it has been filled by additions, or emptied by deletions, and
 * the old table keeps its entries and a reference to the new one. Once one such table has grown old, it and so all that
 * came after it outlive every minor collection, with the requests in them: at 1,100 requests a second each minor
 * collection of a gateway had to copy 8 MB of requests long answered, which took 10 ms instead of one. A plain object
 * without a prototype forgets in place.
 */
export class PendingRequests<Request> extends Map<string, Request> {
	readonly #requests: Record<string, Request> = Object.create(null);
	#size = 0;

	override get size(): number {
		return this.#size;
	}

	override get(id: string): Request | undefined {
		return this.#requests[id];
	}

	override has(id: string): boolean {
		return id in this.#requests;
	}

	override set(id: string, request: Request): this {
		if (!this.has(id)) this.#size++;
		this.#requests[id] = request;
		return this;
	}

	override delete(id: string): boolean {
		if (!this.has(id)) return false;
		this.#size--;
		return delete this.#requests[id];
	}

	override clear(): void {
		for (const id of Object.keys(this.#requests)) this.delete(id);
	}

	override keys(): MapIterator<string> {
		return Object.keys(this.#requests).values();
	}

	override values(): MapIterator<Request> {
		return Object.values(this.#requests).values();
	}

	override entries(): MapIterator<[string, Request]> {
		return Object.entries(this.#requests).values();
	}

	override [Symbol.iterator](): MapIterator<[string, Request]> {
		return this.entries();
	}

	override forEach(visit: (request: Request, id: string, map: Map<string, Request>) => void): void {
		for (const [id, request] of this) visit(request, id, this);
	}
}
