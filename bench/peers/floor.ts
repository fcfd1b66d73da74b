// The floor: node:http and mysql2's prepared statements, one statement for each request, and nothing else.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createPool, type ExecuteValues, type ResultSetHeader, type RowDataPacket } from "mysql2";
import {
	type Author,
	DEFAULT_LIMIT,
	folded,
	type NoteRow,
	POOL_SIZE,
	page,
	present,
	required,
	success,
	UNAUTHENTICATED,
	userOf
} from "./common.ts";

const pool = createPool({ uri: required("DATABASE_URL"), connectionLimit: POOL_SIZE, timezone: "Z" });

const PAGE = `SELECT n.id, n.user_id, n.title, n.content, n.version, n.created_at, n.updated_at, u.username, u.avatar,
	(SELECT COUNT(*) FROM notes WHERE user_id = ? AND deleted_at IS NULL) AS total
	FROM notes n JOIN users u ON u.id = n.user_id
	WHERE n.user_id = ? AND n.deleted_at IS NULL ORDER BY n.id DESC LIMIT ? OFFSET ?`;
const INSERT = `INSERT INTO notes (user_id, title, content, title_folded, content_folded, version, created_at, updated_at)
	VALUES (?, ?, ?, ?, ?, 1, ?, ?)`;
const AUTHOR = "SELECT username, avatar FROM users WHERE id = ?";

function execute<Result>(sql: string, values: ExecuteValues): Promise<Result> {
	return new Promise((resolve, reject) => {
		pool.execute(sql, values, (error, result) => (error ? reject(error) : resolve(result as Result)));
	});
}

async function query(userId: number, search: string) {
	const fields = new URLSearchParams(search);
	const limit = Number(fields.get("limit") ?? DEFAULT_LIMIT);
	const offset = Number(fields.get("offset") ?? 0);
	type Row = NoteRow & Author & { total: number } & RowDataPacket;
	const rows = await execute<Row[]>(PAGE, [userId, userId, String(limit + 1), String(offset)]);
	const notes = rows.map(row => present(row, row));
	return page(rows[0]?.total ?? 0, notes, limit);
}

async function create(userId: number, texts: { title: string; content: string }) {
	const { title_folded, content_folded } = folded(texts);
	const now = new Date();
	const values = [userId, texts.title, texts.content, title_folded, content_folded, now, now];
	const [{ insertId }, authors] = await Promise.all([
		execute<ResultSetHeader>(INSERT, values),
		execute<(Author & RowDataPacket)[]>(AUTHOR, [userId])
	]);
	const row = { id: insertId, user_id: userId, ...texts, version: 1, created_at: now, updated_at: now };
	return present(row, authors[0] as Author);
}

function bodyOf(req: IncomingMessage): Promise<string> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		req.on("data", chunk => chunks.push(chunk));
		req.on("end", () => resolve(Buffer.concat(chunks).toString()));
		req.on("error", reject);
	});
}

function answer(res: ServerResponse, status: number, body: unknown): void {
	const text = JSON.stringify(body);
	res.writeHead(status, {
		"Content-Type": "application/json; charset=utf-8",
		"Content-Length": Buffer.byteLength(text)
	});
	res.end(text);
}

async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
	const userId = await userOf(req.headers.authorization);
	if (userId === undefined) return answer(res, 401, UNAUTHENTICATED);
	const [path, search = ""] = (req.url as string).split("?");
	if (req.method === "GET" && path === "/v1/note/query") return answer(res, 200, success(await query(userId, search)));
	if (req.method !== "POST" || path !== "/v1/note")
		return answer(res, 404, { code: 10006, message: "Not found", data: null });

	const { title, content } = JSON.parse(await bodyOf(req));
	if (typeof title !== "string" || typeof content !== "string" || !title || title.length > 128 || !content)
		return answer(res, 422, { code: 10002, message: "Parameters validation error!", data: null });
	answer(res, 201, success(await create(userId, { title, content })));
}

createServer((req, res) => {
	serve(req, res).catch(error => answer(res, 500, { code: 10001, message: String(error), data: null }));
}).listen(Number(required("PORT")), "127.0.0.1", () => console.log("ready"));
