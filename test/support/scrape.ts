/** One answer of a process's metrics page. */
export class Scrape {
	readonly text: string;
	/** Value by series, the series as it is written. */
	readonly #values: Map<string, number>;

	static async of(url: string): Promise<Scrape> {
		const answer = await fetch(url);
		if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
		return new Scrape(await answer.text());
	}

	constructor(text: string) {
		this.text = text;
		const lines = text.split("\n").filter(line => line && !line.startsWith("#"));
		this.#values = new Map(
			lines.map(line => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))])
		);
	}

	/** Every series, e.g. `http_requests_total{method="GET"}`. */
	series(): string[] {
		return [...this.#values.keys()];
	}

	has(series: string): boolean {
		return this.#values.has(series);
	}

	/** The names of all metrics, those of histograms with `_bucket`, `_sum` and `_count`. */
	names(): Set<string> {
		return new Set(this.series().map(series => series.replace(/\{.*/s, "")));
	}

	/** The sum of the series of a name with these labels at least; undefined where there is none. */
	value(name: string, labels: Record<string, string>): number | undefined {
		const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
		const found = this.series().filter(
			series => series.replace(/\{.*/s, "") === name && wanted.every(label => series.includes(label))
		);
		if (found.length === 0) return undefined;
		return found.reduce((sum, series) => sum + (this.#values.get(series) as number), 0);
	}
}
