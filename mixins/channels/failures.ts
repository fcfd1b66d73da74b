/** An error with this property set to false is not tried again: the message will never be right. */
export function isFinal(error: unknown): boolean {
	return typeof error === "object" && error !== null && (error as { retryable?: unknown }).retryable === false;
}

/** An error with this property says that its message came too early: one of the same key that is yet to come goes first. */
export function waitsForOthers(error: unknown): boolean {
	return typeof error === "object" && error !== null && (error as { waitsForOthers?: unknown }).waitsForOthers === true;
}
