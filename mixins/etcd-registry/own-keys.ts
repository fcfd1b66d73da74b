/** What one transaction has to do to bring etcd in line. */
export interface Difference {
	puts: [key: string, value: Buffer][];
	deletes: string[];
}

interface Present {
	value: Buffer;
	/** Revision of our write; older news about the key says nothing. */
	revision: number;
}

/**
 * Compares the keys that this node wants in etcd with what is there, as far as it knows. Pure bookkeeping: it learns
 * from `confirm` (our writes) and `observe` (the watch), and names the difference.
 */
export class OwnKeys {
	readonly #wanted = new Map<string, Buffer>();
	readonly #present = new Map<string, Present>();

	want(key: string, value: Buffer): void {
		this.#wanted.set(key, value);
	}

	unwant(key: string): void {
		this.#wanted.delete(key);
	}

	/** Service keys come before node keys when both are new, as `difference` keeps the order of `want`. */
	difference(): Difference {
		const puts = [...this.#wanted].filter(([key, value]) => !this.#present.get(key)?.value.equals(value));
		const deletes = [...this.#present.keys()].filter(key => !this.#wanted.has(key));
		return { puts, deletes };
	}

	/** A transaction with (a part of) the difference was committed at `revision`. */
	confirm({ puts, deletes }: Difference, revision: number): void {
		for (const [key, value] of puts) this.#present.set(key, { value, revision });
		for (const key of deletes) this.#present.delete(key);
	}

	/**
	 * News about a key from the watch or a range read.
	 *
	 * @param value undefined when the key was deleted
	 * @param ours whether the key is held by this node's lease; a wanted key that is not counts as absent
	 * @returns whether the key differs from what this node wants
	 */
	observe(key: string, value: Buffer | undefined, revision: number, ours: boolean): boolean {
		const known = this.#present.get(key);
		if (known && revision <= known.revision) return false;

		const wanted = this.#wanted.get(key);
		if (value && ours) this.#present.set(key, { value, revision });
		else this.#present.delete(key);
		if (!wanted) return value !== undefined && ours;
		return !(ours && value?.equals(wanted));
	}

	/** The lease is gone, and all keys with it. */
	forget(): void {
		this.#present.clear();
	}
}
