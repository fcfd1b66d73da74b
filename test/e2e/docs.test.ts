import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { routes } from "../../services/api/routes.ts";
import { startApp, useEnvironment } from "../support/app.ts";
import { openPage } from "../support/browser.ts";
import { requireServers } from "../support/servers.ts";

useEnvironment();

describe("The docs page in a browser without internet", await requireServers("chromium"), () => {
	it("shows every route, and neither an error nor a breach of the content security policy", async t => {
		const { client } = await startApp(t);
		const { html, console } = await openPage(`${client.url}/docs`);
		assert.deepEqual(console, []);
		for (const { summary } of routes)
			assert.ok(html.includes(summary.replace("'", "&#39;")) || html.includes(summary), summary);
		const shown = [...html.matchAll(/class="opblock opblock-(\w+)"/g)].map(([, method]) => method);
		assert.equal(shown.length, routes.length);
	});

	it("shows the fields of a route that is opened, under the same policy", async t => {
		const { client } = await startApp(t);
		const { html, console } = await openPage(`${client.url}/docs#/note/note.create`);
		assert.deepEqual(console, []);
		assert.match(html, /opblock-post is-open/);
		assert.match(html, /Request body/);
	});

	it("would fail here if its scripts were inline: the policy is enforced, and this test sees it", async t => {
		const { client } = await startApp(t);
		const { headers } = await client.send("GET", "/docs");
		const policy = String(headers["content-security-policy"]);
		const page = createServer((_req, res) => {
			res.writeHead(200, { "Content-Type": "text/html", "Content-Security-Policy": policy });
			res.end("<p>safe</p><script>document.body.textContent = 'inline ran'</script>");
		});
		await new Promise<void>(resolve => page.listen(0, "127.0.0.1", resolve));
		t.after(() => page.close());
		const { html, console } = await openPage(`http://127.0.0.1:${(page.address() as AddressInfo).port}/`);
		assert.match(html, /safe/);
		assert.equal(console.length, 1);
		assert.match(console[0] as string, /Content Security Policy/);
	});
});
