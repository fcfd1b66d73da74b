/**
 * The form in which texts and names are compared: case does not count, neither does how an accent is composed. Composed
 * last, as there are letters that exist composed in lower case only. Letter by letter, so that a part of a text is found in
 * it: lower case alone gives a sigma at the end of a word its final form.
 */
export function fold(text: string): string {
	return text.toLowerCase().replaceAll("ς", "σ").normalize("NFC");
}
