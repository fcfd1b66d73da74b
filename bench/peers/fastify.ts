// The usual monolith: Fastify, with schemas for what comes in and goes out as its manual recommends, and Sequelize.
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { DEFAULT_LIMIT, required, success, UNAUTHENTICATED, userOf } from "./common.ts";
import { connect, create, query } from "./models.ts";

declare module "fastify" {
	interface FastifyRequest {
		userId: number;
	}
}

const text = { type: "string" } as const;
const integer = { type: "integer" } as const;
const note = {
	type: "object",
	properties: {
		note_id: integer,
		user_id: integer,
		username: text,
		user_avatar: text,
		title: text,
		content: text,
		create_time: integer,
		update_time: integer,
		version: integer
	}
} as const;
const envelope = (data: object) => ({
	type: "object",
	properties: { code: integer, message: text, data }
});
const notes = {
	type: "object",
	properties: {
		total: integer,
		notes: { type: "array", items: note },
		next_cursor: { type: ["string", "null"] }
	}
};
const querystring = {
	type: "object",
	additionalProperties: false,
	properties: {
		search_key: { type: "string", minLength: 1, maxLength: 128 },
		offset: { type: "integer", minimum: 0 },
		limit: { type: "integer", minimum: 1, maximum: 100 }
	}
};
const body = {
	type: "object",
	additionalProperties: false,
	required: ["title", "content"],
	properties: {
		title: { type: "string", minLength: 1, maxLength: 128 },
		content: { type: "string", minLength: 1, maxLength: 65_535 }
	}
};

const app = Fastify();
connect();

app.decorateRequest("userId", 0);
app.addHook("onRequest", async (request: FastifyRequest, reply: FastifyReply) => {
	const userId = await userOf(request.headers.authorization);
	if (userId === undefined) return reply.code(401).send(UNAUTHENTICATED);
	request.userId = userId;
});

app.get<{ Querystring: { offset?: number; limit?: number } }>(
	"/v1/note/query",
	{ schema: { querystring, response: { 200: envelope(notes) } } },
	async ({ userId, query: { offset = 0, limit = DEFAULT_LIMIT } }) => success(await query(userId, limit, offset))
);

app.post<{ Body: { title: string; content: string } }>(
	"/v1/note",
	{ schema: { body, response: { 201: envelope(note) } } },
	async ({ userId, body }, reply) => {
		reply.code(201);
		return success(await create(userId, body));
	}
);

await app.listen({ port: Number(required("PORT")), host: "127.0.0.1" });
console.log("ready");
