/**
 * Sends spans to a collector.
 * @param timeout for the whole exchange, in milliseconds
 * @throws Error with what a person needs to know: the status, the time-out, or why there was no connection
 */
export async function postSpans(
	url: string,
	type: string,
	body: string | Uint8Array<ArrayBuffer>,
	timeout: number
): Promise<void> {
	try {
		const headers = { "Content-Type": type };
		const response = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(timeout) });
		await response.body?.cancel();
		if (!response.ok) throw new Error(`HTTP ${response.status}`);
	} catch (error) {
		throw new Error(reasonOf(error as Error), { cause: error });
	}
}

/** fetch says "fetch failed" and keeps the reason in the cause. */
function reasonOf({ message, cause }: Error): string {
	return cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || message : message;
}
