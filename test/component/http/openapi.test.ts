import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { methodsOf, type RouteDefinition, routes, routesAt } from "../../../services/api/routes.ts";
import { onBothShapes, startApp, useEnvironment } from "../../support/app.ts";
import { type Answer, Client, type RequestOptions, type TestUser } from "../../support/client.ts";
import { conversation } from "../../support/conversation.ts";
import { sampleRequests } from "../../support/requests.ts";

useEnvironment({ RATE_LIMIT_PER_MINUTE: "1000000" });

/** The headers that the document tells of. */
const HEADERS = [
	"X-Request-ID",
	"Location",
	"Retry-After",
	"X-RateLimit-Limit",
	"X-RateLimit-Remaining",
	"X-RateLimit-Reset"
];

interface Operation {
	operationId: string;
	parameters: { name: string; in: string; required: boolean }[];
	requestBody?: { content: Record<string, object> };
	responses: Record<string, { headers: Record<string, object> }>;
	security: object[];
}

interface Document {
	openapi: string;
	paths: Record<string, Record<string, Operation>>;
}

/** A request and its answer as they were. */
interface Recorded {
	method: string;
	path: string;
	options: RequestOptions;
	answer: Answer;
}

class RecordingClient extends Client {
	readonly exchanges: Recorded[] = [];

	override async send(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
		const answer = await super.send(method, path, options);
		this.exchanges.push({ method, path, options, answer });
		return answer;
	}
}

const template = ({ path }: RouteDefinition) => path.replace(/:(\w+)/g, "{$1}");

onBothShapes(app => {
	let document: Document;
	let ajv: Ajv2020;
	let exchanges: Recorded[];
	let user: TestUser;
	before(async () => {
		const client = new RecordingClient(app().client.url);
		await conversation(client, `openapi-${app().broker.nodeID}`);
		({ exchanges } = client);
		user = await app().client.newUser();
		document = (await client.send("GET", "/openapi.json")).body as unknown as Document;
		ajv = new Ajv2020({ strict: false, allErrors: true });
		ajv.addSchema(document, "openapi.json");
	});

	/** Whether a value is as the document says at a place, with no property more at its top. */
	function assertDescribed(value: unknown, ...place: string[]): void {
		const pointer = place.map(part => part.replaceAll("~", "~0").replaceAll("/", "~1")).join("/");
		const $ref = `openapi.json#/${encodeURI(pointer)}`;
		const validate = ajv.compile({ $ref, unevaluatedProperties: false });
		assert.ok(
			validate(value),
			`${place.join(" ")}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value).slice(0, 200)}`
		);
	}

	/** Whether an answer has the headers that the document says, and no other one of those. */
	function assertHeaders({ status, headers }: Answer, { method, path }: RouteDefinition): void {
		const operation = document.paths[path.replace(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()] as Operation;
		const described = Object.keys(operation.responses[status]?.headers ?? {});
		const found = HEADERS.filter(name => headers[name.toLowerCase()] !== undefined);
		assert.deepEqual(described.sort(), found.sort(), `${method} ${path} ${status}`);
	}

	describe("/openapi.json", () => {
		it("is a valid OpenAPI 3.1 document", async () => {
			const { valid, errors } = await new Validator().validate(
				structuredClone(document) as unknown as Record<string, unknown>
			);
			assert.deepEqual([valid, errors], [true, undefined]);
			assert.equal(document.openapi, "3.1.0");
		});

		it("holds every route of the table, and nothing else", () => {
			const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
				Object.entries(operations).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`)
			);
			const expected = routes.map(route => `${route.method} ${template(route)} ${route.action}`);
			assert.deepEqual(documented.sort(), expected.sort());
		});

		it("names each parameter of a path, and every field of a route once", () => {
			for (const route of routes) {
				const operation = document.paths[template(route)]?.[route.method.toLowerCase()] as Operation;
				const inPath = operation.parameters.filter(parameter => parameter.in === "path");
				const names = [...template(route).matchAll(/\{(\w+)\}/g)].map(match => match[1]);
				assert.deepEqual(
					inPath.map(({ name, required }) => [name, required]),
					names.map(name => [name, true])
				);
			}
		});

		it("wants a title or a content of who changes a note", () => {
			const place = ["paths", "/v1/note/{note_id}", "put", "requestBody", "content", "application/json", "schema"];
			for (const body of [{ title: "a" }, { content: "b" }, { title: "a", content: "b", version: 1 }])
				assertDescribed(body, ...place);
			for (const body of [{}, { version: 1 }])
				assert.throws(() => assertDescribed(body, ...place), /required property/);
		});

		it("asks for a token where the gateway does", () => {
			for (const route of routes) {
				const operation = document.paths[template(route)]?.[route.method.toLowerCase()] as Operation;
				assert.equal(operation.security.length > 0, route.auth, route.path);
			}
		});
	});

	describe("The recorded conversation", () => {
		it("goes through every route", () => {
			const visited = new Set(
				exchanges.flatMap(({ method, path }) =>
					routesAt(path.split("?")[0] as string).filter(route => route.method === method)
				)
			);
			assert.deepEqual(
				routes.filter(route => !visited.has(route)).map(route => `${route.method} ${route.path}`),
				[],
				"what no request in test/support/conversation.ts asks for"
			);
		});

		it("has no answer that the document does not describe", () => {
			for (const { method, path, answer } of exchanges.filter(exchange => exchange.path !== "/openapi.json")) {
				const found = routesAt(path.split("?")[0] as string);
				const route = found.find(candidate => methodsOf([candidate]).includes(method));
				if (!route) {
					assertDescribed(answer.body, "components", "schemas", "Failure");
					continue;
				}
				const place = ["paths", template(route), method.toLowerCase(), "responses", String(answer.status)];
				assertDescribed(answer.body, ...place, "content", "application/json", "schema");
				assertHeaders(answer, route);
			}
		});

		it("has no accepted body that the document does not describe", () => {
			const accepted = exchanges.filter(({ answer, options }) => answer.status < 300 && (options.json ?? options.form));
			assert.ok(accepted.length > 5);
			for (const { method, path, options } of accepted) {
				const [route] = routesAt(path).filter(candidate => candidate.method === method) as [RouteDefinition];
				const type = options.form ? "application/x-www-form-urlencoded" : "application/json";
				const place = ["paths", template(route), method.toLowerCase(), "requestBody", "content", type, "schema"];
				assertDescribed(options.json ?? options.form, ...place);
			}
		});
	});

	describe("A route", () => {
		for (const { name, route, path, options } of sampleRequests())
			it(`${name} answers a failure as described`, async () => {
				const failing: RequestOptions[] = [{ json: { ...(options.json as object), surprise: 1 } }];
				failing.push({ raw: "{", headers: { "Content-Type": "application/json" } });
				failing.push({ raw: "x", headers: { "Content-Type": "text/plain" } });
				failing.push({ raw: Buffer.alloc(600_000), headers: { "Content-Type": "application/json" } });
				const { token } = user;
				for (const request of failing) {
					const answer = await app().client.send(route.method, path, { token, ...request });
					const place = ["paths", template(route), route.method.toLowerCase(), "responses", String(answer.status)];
					assertDescribed(answer.body, ...place, "content", "application/json", "schema");
				}
			});

		it("GET /readyz answers as described where a service is missing", async t => {
			const { client } = await startApp(t, { note: null });
			const answer = await client.send("GET", "/readyz");
			assert.equal(answer.status, 503);
			const place = ["paths", "/readyz", "get", "responses", "503", "content", "application/json", "schema"];
			assertDescribed(answer.body, ...place);
			const found = (path: string) => routes.find(route => route.path === path) as RouteDefinition;
			assertHeaders(answer, found("/readyz"));
			const { token } = await client.newUser();
			assertHeaders(await client.send("GET", "/v1/note/query", { token }), found("/v1/note/query"));
		});

		it("answers a guess too many as described", async t => {
			const { client } = await startApp(t);
			const login = () => client.send("POST", "/v1/user/login", { json: { username: "nobody", password: "wrong" } });
			let answer = await login();
			while (answer.status === 401) answer = await login();
			assert.equal(answer.status, 429);
			assertHeaders(answer, routes.find(({ action }) => action === "user.login") as RouteDefinition);
		});
	});
});
