import { fieldError } from "./errors.ts";
import { integer, text } from "./schema.ts";

/** Parameter of a list: the most rows of a page. */
export const limit = integer({ min: 1, max: 100, optional: true });
/** Parameter of a list: where its page begins, as the page before said. */
export const cursor = text({ minChars: 1, maxChars: 64, optional: true });
/** Field of a page: the cursor of the next one, null on the last. */
export const nextCursor = { type: "string", nullable: true } as const;

/**
 * The cursors of a list: opaque to clients, so that paging can change without them.
 * @param list tells its cursors from those of other lists
 * @param keys what the list is ordered by: fields of a row that hold integers from 1 to 2^53-1
 */
export function cursors<const Key extends string>(list: string, keys: readonly Key[]) {
	type Place = Record<Key, number>;

	/** The cursor of the page after a row. */
	const after = (row: Readonly<Place>): string =>
		Buffer.from(list + keys.map(key => row[key]).join(".")).toString("base64url");

	/**
	 * The place that a parameter `cursor` stands for, undefined where it was not given.
	 * @throws VALIDATION_ERROR for text that is not a cursor of this list
	 */
	const placeOf = (cursor: string | undefined): Place | undefined => {
		if (cursor === undefined) return undefined;
		const numbers = Buffer.from(cursor, "base64url").toString().slice(list.length).split(".").map(Number);
		const place = Object.fromEntries(keys.map((key, i) => [key, numbers[i]])) as Place;
		const isPlace = numbers.every(number => Number.isSafeInteger(number) && number > 0);
		// A number, and base64, can be written in several ways: ours is the one.
		if (isPlace && after(place) === cursor) return place;
		throw fieldError("cursor", "cursor", "The 'cursor' field is not a cursor of this list.");
	};

	/** The page that rows begin with, of which one more than `limit` was asked for: it tells whether there is a next page. */
	const page = <Row extends Readonly<Place>>(rows: readonly Row[], limit: number) => {
		const shown = rows.slice(0, limit);
		const last = rows.length > limit ? shown.at(-1) : undefined;
		return { page: shown, next_cursor: last ? after(last) : null };
	};
	return { after, placeOf, page };
}
