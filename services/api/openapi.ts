import { jsonSchema } from "../../lib/json-schema.ts";
import { type RouteDefinition, serviceOf } from "./route.ts";

const errorAnswers = {
	400: "The request could not be read",
	401: "No valid access token, or wrong credentials",
	403: "Not allowed",
	404: "Not there, or not yours",
	408: "The request did not come in time",
	409: "Taken name, or stale version",
	413: "The body is too large",
	415: "The body is of a type that the request does not take, or compressed",
	422: "A field breaks a rule; `data.errors` names each",
	429: "Too many requests",
	431: "The headers are too large",
	500: "Our fault",
	503: "No node can serve this now",
	504: "No answer in time"
} as const;

type Schema = Record<string, unknown>;

const headers = {
	"X-Request-ID": header("The id of the request and of its trace", { type: "string", pattern: "^[0-9a-f]{32}$" }, true),
	Location: header("Where the created thing is, or where to ask what became of the request", { type: "string" }, true),
	"Retry-After": header("Seconds to wait", { type: "integer", minimum: 1 }, true),
	"X-RateLimit-Limit": header("Requests in a window; absent where limits are off", { type: "integer" }),
	"X-RateLimit-Remaining": header("How many of them are left", { type: "integer" }),
	"X-RateLimit-Reset": header("Seconds until the window ends", { type: "integer" })
};

/** The OpenAPI 3.1 document of a route table, made from the schemas that validate the requests. */
export function openapi(routes: readonly RouteDefinition[], version: string, passwordMinLength: number): Schema {
	const paths: Record<string, Record<string, Schema>> = {};
	for (const route of routes) {
		const path = route.path.replace(/:(\w+)/g, "{$1}");
		paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, passwordMinLength) };
	}
	return {
		openapi: "3.1.0",
		info: {
			title: "Notemesh",
			version,
			description: "Notes over HTTP.",
			contact: { name: "The operators of this server" },
			license: { name: "MIT", identifier: "MIT" }
		},
		servers: [{ url: "/" }],
		tags: [...new Set(routes.map(serviceOf))].map(name => ({ name, description: `What the ${name} service does` })),
		paths,
		components: {
			headers,
			securitySchemes: {
				bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
				cookie: { type: "apiKey", in: "cookie", name: "jwt" }
			},
			schemas: {
				Failure: envelope({
					oneOf: [
						{ type: "null" },
						{ $ref: "#/components/schemas/FieldErrors" },
						{ $ref: "#/components/schemas/CurrentVersion" }
					]
				}),
				CurrentVersion: {
					type: "object",
					description: "On code 10008",
					additionalProperties: false,
					required: ["version"],
					properties: { version: { type: "integer" } }
				},
				FieldErrors: {
					type: "object",
					description: "On code 10002",
					additionalProperties: false,
					required: ["errors"],
					properties: { errors: { type: "array", items: { $ref: "#/components/schemas/FieldError" } } }
				},
				FieldError: {
					type: "object",
					required: ["field", "type", "message"],
					properties: { field: { type: "string" }, type: { type: "string" }, message: { type: "string" } }
				}
			}
		}
	};
}

function operation(route: RouteDefinition, passwordMinLength: number): Schema {
	const status = route.status ?? 200;
	const answer = (code: number, description: string, schema: Schema) => ({
		description,
		headers: headersOf(route, code),
		content: { "application/json": { schema } }
	});
	return {
		operationId: route.action,
		summary: route.summary,
		description: [
			route.auth ? "Needs an access token." : "Needs no access token.",
			...(route.role ? [`For the role ${route.role} only.`] : []),
			...(route.guarded ? ["Counts towards the stricter limit that guards passwords, too."] : [])
		].join(" "),
		tags: [serviceOf(route)],
		security: route.auth ? [{ bearer: [] }, { cookie: [] }] : [],
		...parametersAndBody(route, passwordMinLength),
		responses: {
			[status]: answer(status, "Success", successBody(route)),
			...(route.pending && {
				202: answer(202, "Under way; see Location", envelope(jsonSchema(route.pending.result)))
			}),
			...Object.fromEntries(
				errorsOf(route).map(code => [code, answer(code, errorAnswers[code], { $ref: "#/components/schemas/Failure" })])
			),
			...(route.unavailable && { 503: answer(503, errorAnswers[503], jsonSchema(route.unavailable)) })
		}
	};
}

function headersOf({ probe, location, pending, status, unavailable }: RouteDefinition, code: number): Schema {
	const names: (keyof typeof headers)[] = ["X-Request-ID"];
	if (!probe) names.push("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset");
	if ((location && code === status) || (pending && code === pending.status)) names.push("Location");
	if (code === 429 || (code === 503 && !unavailable)) names.push("Retry-After");
	return Object.fromEntries(names.map(name => [name, { $ref: `#/components/headers/${name}` }]));
}

function header(description: string, schema: Schema, required = false): Schema {
	return { description, required, schema };
}

const idempotencyKey = {
	name: "Idempotency-Key",
	in: "header",
	required: false,
	schema: { type: "string", minLength: 1, maxLength: 255, description: "Makes repetitions one request" }
};

/** Path and query fields as parameters, the others as the body. */
function parametersAndBody(route: RouteDefinition, passwordMinLength: number): Schema {
	const { path, method, params = {}, form, idempotent, anyOf, newPassword } = route;
	const { properties = {}, required = [] } = jsonSchema(params) as {
		properties?: Record<string, Schema>;
		required?: string[];
	};
	if (newPassword) properties[newPassword] = { ...properties[newPassword], minLength: passwordMinLength };
	const inPath = new Set([...path.matchAll(/:(\w+)/g)].map(match => match[1]));
	const inQuery = method === "GET" || method === "DELETE";
	const names = Object.keys(properties);

	const parameters = names
		.filter(name => inPath.has(name) || inQuery)
		.map(name => ({
			name,
			in: inPath.has(name) ? "path" : "query",
			required: required.includes(name),
			schema: properties[name]
		}));
	if (idempotent) parameters.push(idempotencyKey);
	const fields = names.filter(name => !inPath.has(name) && !inQuery);
	if (fields.length === 0) return { parameters };

	const schema = {
		type: "object",
		additionalProperties: false,
		required: required.filter(name => fields.includes(name)),
		...(anyOf && { anyOf: anyOf.map(name => ({ required: [name] })) }),
		properties: Object.fromEntries(fields.map(name => [name, properties[name]]))
	};
	const types = ["application/json", ...(form ? ["application/x-www-form-urlencoded"] : [])];
	return {
		parameters,
		requestBody: {
			required: schema.required.length > 0 || Boolean(anyOf),
			content: Object.fromEntries(types.map(type => [type, { schema }]))
		}
	};
}

function successBody({ result, envelope: kind }: RouteDefinition): Schema {
	const data = result ? jsonSchema(result) : { type: kind === "none" ? "object" : "null" };
	if (kind === "none") return data;
	if (kind !== "tokens") return envelope(data);
	const { token, expire, refresh_token } = result ?? {};
	return { allOf: [envelope(data), jsonSchema({ token, expire, refresh_token })] };
}

/** Any route may refuse how a request is written, a field that it does not know, and a body, which the others lack. */
function errorsOf({ auth, role, probe, errors = [] }: RouteDefinition): (keyof typeof errorAnswers)[] {
	const codes = new Set<keyof typeof errorAnswers>([400, 408, 413, 415, 422, 431, 500, 503, 504, ...errors]);
	if (!probe) codes.add(429);
	if (auth) codes.add(401);
	if (role) codes.add(403);
	return [...codes].sort();
}

function envelope(data: Schema): Schema {
	return {
		type: "object",
		required: ["code", "message", "data"],
		properties: { code: { type: "integer" }, message: { type: "string" }, data }
	};
}
