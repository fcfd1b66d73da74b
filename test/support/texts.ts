/** Text that is legal in any field of one line, and must come back exactly as it was sent. */
export const legalTexts: Readonly<Record<string, string>> = {
	ASCII: "Hello, world! ~^|<>&'\"`",
	"accents, composed": "Éléonore Ångström",
	"accents, decomposed": "E\u0301le\u0301onore A\u030angstro\u0308m",
	"many combining marks": `Z${"\u0351\u036b\u0343".repeat(20)}`,
	"right to left": "שלום עולם مرحبا بالعالم",
	"direction marks": "\u202babc\u202c \u200fdef\u200e \u2066ghi\u2069",
	emoji: "😀👍🏽👨‍👩‍👧‍👦🏳️‍🌈",
	"zero-width": "a\u200bb\u200dc\ufeffd",
	"private use and unassigned": "\ue000\u{f0000}\u{10fffd}\u0378",
	noncharacters: "\uffff\ufffe\u{1fffe}",
	"replacement character": "\ufffd",
	"line and paragraph separators": "a\u2028b\u2029c",
	"full width": "Ｆｕｌｌ　ｗｉｄｔｈ",
	Chinese: "汉字 漢字 𠜎𠜱𠝹",
	Greek: "ΟΔΟΣ οδός",
	Turkish: "İıIi",
	SQL: `'; DROP TABLE notes; -- ") OR 1=1 #`,
	"LIKE metacharacters": "100%_[a-z]\\_\\\\%",
	placeholders: "? :name $1 @x %s {0} #{y}",
	dollars: "$5 $$ $& $` $' $<a> US$",
	"escape sequences": "\\0 \\n \\u0000 \\x00 %00 &#0; &lt;",
	markup: "<script>alert(1)</script><!-- ]]> -->",
	"names of objects' own": "__proto__ constructor toString",
	"numbers and words": "0 -1 1e999 NaN null undefined true"
};

/** One-character texts that no field of one line accepts. */
export const controls: Readonly<Record<string, string>> = {
	NUL: "\0",
	backspace: "\b",
	escape: "\u001b",
	delete: "\u007f",
	"next line (C1)": "\u0085",
	"last C1": "\u009f"
};

/** Halves of surrogate pairs, which have no UTF-8 form. JSON can carry them as escapes. */
export const loneSurrogates: Readonly<Record<string, string>> = {
	high: "a\ud800b",
	low: "a\udc00b",
	"at the end": "a\ud83d",
	"in the wrong order": "\ude00\ud83d"
};

/** What a text is not: values of other types. */
export const notTexts: readonly unknown[] = [null, 0, 7, 1.5, true, false, [], ["a"], {}, { a: "b" }, [["a"]]];
