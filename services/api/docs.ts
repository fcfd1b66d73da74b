import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { apiError } from "./api.contract.ts";

const { resolve } = createRequire(import.meta.url);

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** The page may load its own files and the document, and send the requests that its reader tries: nothing else. */
const POLICY = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"connect-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'"
].join("; ");

const PAGE = `<!doctype html>
<html lang="en">
<head>
	<meta charset="utf-8">
	<meta name="viewport" content="width=device-width, initial-scale=1">
	<title>Notemesh API</title>
	<link rel="stylesheet" href="/docs/swagger-ui.css">
	<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
	<div id="docs"></div>
	<noscript>This page needs JavaScript; the document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
	<script src="/docs/swagger-ui-bundle.js"></script>
	<script src="/docs/page.js"></script>
</body>
</html>
`;

/** `validatorUrl: null` keeps Swagger UI from sending the document to a validator on the internet. */
const PAGE_SCRIPT = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
`;

/** One file of the page. */
interface DocsAsset {
	content: Buffer;
	type: string;
	headers: Record<string, string>;
}

const page = (text: string) => () => Buffer.from(text);
const swaggerUi = (file: string) => () => readFileSync(resolve(`swagger-ui-dist/${file}`));

const files: Readonly<Record<string, readonly [type: string, read: () => Buffer]>> = {
	"": [HTML, page(PAGE)],
	"page.js": [SCRIPT, page(PAGE_SCRIPT)],
	"swagger-ui-bundle.js": [SCRIPT, swaggerUi("swagger-ui-bundle.js")],
	"swagger-ui.css": [STYLE, swaggerUi("swagger-ui.css")],
	"favicon-32x32.png": ["image/png", swaggerUi("favicon-32x32.png")]
};
const read = new Map<string, DocsAsset>();

/**
 * A file of the page that shows the OpenAPI document, read at its first use; "" is the page itself.
 * @throws ROUTE_NOT_FOUND
 */
export function docsAsset(name: string): DocsAsset {
	if (!Object.hasOwn(files, name)) throw apiError("ROUTE_NOT_FOUND");
	const [type, readContent] = files[name] as (typeof files)[string];
	const asset = read.get(name) ?? {
		content: readContent(),
		type,
		headers: { "Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=3600" }
	};
	read.set(name, asset);
	return asset;
}
