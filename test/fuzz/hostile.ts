/** Texts that have broken servers before. */
export const hostileTexts = [
	...[
		"",
		" ",
		"\0",
		"a\0b",
		"\r\nX-Injected: 1",
		"\u202e",
		"\ufeff",
		"\ud800",
		"\udc00x",
		"e\u0301",
		"\u{1f468}\u200d\u{1f469}"
	],
	...["' OR '1'='1", "'; DROP TABLE notes; --", "\\", "\\'", "%", "_", "%25", "$1", "{{7*7}}", "$gt"],
	...["<script>alert(1)</script>", "../../etc/passwd", "file:///etc/passwd", "|id", "`id`", "() { :; };"],
	...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "null", "undefined", "NaN", "true"],
	...[
		"0",
		"-1",
		"-0",
		"1e3",
		"0x10",
		"1.5",
		"9007199254740991",
		"9007199254740992",
		"1e309",
		"99999999999999999999999"
	],
	...[
		"a".repeat(129),
		"a".repeat(5000),
		"é".repeat(64),
		"\u{1f44b}".repeat(128),
		"x".repeat(65_535),
		"é".repeat(40_000),
		"x".repeat(70_000)
	]
];

/** Names of fields that no operation knows, and what an attacker would like them to be. */
export const strangeNames = [
	"user_id",
	"role",
	"id",
	"version",
	"password_hash",
	"deleted_at",
	"__proto__",
	"constructor",
	"$where",
	"",
	"a.b",
	"a[b]",
	"meta",
	"\0"
];

export const strangeHeaders: Record<string, string>[] = [
	{ "X-User-ID": "1", "X-User": '{"id":1,"role":"admin"}', "X-Role": "admin" },
	{ "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/v1/user/me", "X-Rewrite-URL": "/readyz" },
	{ "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example", Forwarded: "for=127.0.0.1" },
	{ "X-Request-ID": "forged\tid", "X-Correlation-ID": "forged" },
	{ Accept: "application/xml", "Accept-Encoding": "identity;q=0", "Accept-Language": "x".repeat(300) },
	{ Expect: "100-continue" },
	{ Expect: "something" },
	{ "If-None-Match": "*" },
	{ Range: "bytes=0-1", "If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ Origin: "https://evil.example", "Access-Control-Request-Method": "DELETE" },
	{ Cookie: "jwt=; jwt=x; =; a=b=c; __proto__=1" },
	{ Connection: "close, x-request-id", "Keep-Alive": "timeout=99999" },
	{ "Content-Encoding": "gzip" },
	{ "Content-Type": "application/json; charset=utf-16" },
	{ Upgrade: "h2c" }
];
