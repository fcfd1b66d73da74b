import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { routes } from "../../services/api/routes.ts";
import type { Note } from "../../services/note/note.contract.ts";
import { ChaosClient, type Exchange } from "./client.ts";
import { random } from "./events/config.ts";
import type { Operation, SeenNote } from "./history.ts";

const WRITERS = 6;
const READERS = 2;
const PASSWORD = "correct horse battery";
/** The pause between two requests of one client is random, up to this, in milliseconds. */
const LONGEST_PAUSE_MS = 60;
const REGISTRATION_PAUSE_MS = 500;
const RETRY_PAUSE_MS = 300;
const PAGE = 100;
/** How often a client that has a key asks at most. */
const ATTEMPTS = 20;
/** Whether a create may carry an `Idempotency-Key`. */
const KEYED = routes.some(({ action, idempotent }) => action === "note.create" && idempotent);

/** A user of the run, with a token. */
export interface LoadUser {
	name: string;
	token: string;
}

/** A note as its writer knows it. */
interface OwnNote {
	note: string;
	id: number;
	version: number;
}

/**
 * Users that write and read notes, each one request after the other, and newcomers who register, all the time from
 * `start` to `stop`. Every request and what came of it is in `operations`.
 */
export class Load {
	readonly operations: Operation[] = [];
	readonly users: LoadUser[] = [];
	readonly #urls: readonly string[];
	readonly #label: string;
	readonly #random: () => number;
	readonly #notes = new Map<LoadUser, OwnNote[]>();
	#loops: Promise<void>[] = [];
	#stopped = false;
	#count = 0;

	/** @param label no two loads on one platform share it: it makes names and contents unique */
	constructor(urls: readonly string[], label: string, seed: number) {
		this.#urls = urls;
		this.#label = label;
		this.#random = random(seed);
	}

	/** Registers the users and begins. @throws where a registration fails: that is before any fault */
	async start(): Promise<void> {
		for (let i = 0; i < WRITERS; i++) this.users.push(await this.#newUser(`${this.#label}-user-${i}`));
		this.#loops = [
			...this.users.map((user, i) => this.#write(user, new ChaosClient(this.#urls, i))),
			...Array.from({ length: READERS }, (_, i) => this.#read(new ChaosClient(this.#urls, i))),
			this.#register(new ChaosClient(this.#urls, 0))
		];
	}

	/** Ends after the requests that are under way. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await Promise.all(this.#loops);
	}

	/** All notes of a user, as the API lists them. @throws where it does not answer */
	async listed({ token }: LoadUser): Promise<SeenNote[]> {
		const client = new ChaosClient(this.#urls, 0);
		const seen: SeenNote[] = [];
		try {
			for (let cursor: string | null = ""; cursor !== null; ) {
				const query: string = `limit=${PAGE}${cursor && `&cursor=${cursor}`}`;
				const { outcome, status, data } = await client.send("GET", `/v1/note/query?${query}`, { token });
				if (outcome !== "done") throw new Error(`The notes can not be listed: status ${status}`);
				const page = data as { notes: Note[]; next_cursor: string | null };
				seen.push(...page.notes.map(seenOf));
				cursor = page.next_cursor;
			}
			return seen;
		} finally {
			client.close();
		}
	}

	async #newUser(username: string): Promise<LoadUser> {
		const client = new ChaosClient(this.#urls, 0);
		const json = { username, password: PASSWORD };
		const registered = await client.send("POST", "/v1/user/register", { json });
		this.#record({ kind: "register", user: username, note: "" }, registered);
		const { data, status } = await client.send("POST", "/v1/user/login", { json });
		client.close();
		if (status !== 200) throw new Error(`${username} can not log in: status ${registered.status}, then ${status}`);
		return { name: username, token: (data as { token: string }).token };
	}

	async #write(user: LoadUser, client: ChaosClient): Promise<void> {
		const own: OwnNote[] = [];
		this.#notes.set(user, own);
		for (; !this.#stopped; await this.#pause()) {
			const choice = this.#random();
			const index = Math.floor(this.#random() * own.length);
			const note = own[index];
			if (!note || choice < 0.35) await this.#create(user, client, own);
			else if (choice < 0.6) await this.#update(user, client, note, () => own.splice(index, 1));
			else if (choice < 0.75) await this.#remove(user, client, note, () => own.splice(index, 1));
			else if (choice < 0.9) await this.#get(user, client, note);
			else await this.#list(user, client);
		}
		client.close();
	}

	/** Every second create carries a key and is repeated while it is in doubt; of the others the client never knows. */
	async #create({ name, token }: LoadUser, client: ChaosClient, own: OwnNote[]): Promise<void> {
		const note = `${name} ${++this.#count}`;
		const text = `${note} first`;
		const headers = KEYED && this.#random() < 0.5 ? { "Idempotency-Key": randomUUID() } : undefined;
		const request = { token, json: { title: note, content: text }, ...(headers && { headers }) };
		for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
			const exchange = await client.send("POST", "/v1/note", request);
			this.#record({ kind: "create", user: name, note, text }, exchange);
			if (exchange.outcome === "done") {
				const { note_id: id, version } = exchange.data as Note;
				own.push({ note, id, version });
			}
			if (!headers || exchange.outcome !== "unknown") return;
			await delay(RETRY_PAUSE_MS);
		}
	}

	/** An update that did not go well may come later: its writer leaves the note alone, readers look at it all the same. */
	async #update(user: LoadUser, client: ChaosClient, note: OwnNote, forget: () => void): Promise<void> {
		const text = `${note.note} change ${++this.#count}`;
		const json = { content: text, version: note.version };
		const exchange = await client.send("PUT", `/v1/note/${note.id}`, { token: user.token, json });
		this.#record({ kind: "update", user: user.name, note: note.note, text }, exchange);
		if (exchange.outcome === "done") note.version = (exchange.data as Note).version;
		else forget();
	}

	async #remove(user: LoadUser, client: ChaosClient, note: OwnNote, forget: () => void): Promise<void> {
		const exchange = await client.send("DELETE", `/v1/note/${note.id}`, { token: user.token });
		this.#record({ kind: "remove", user: user.name, note: note.note }, exchange);
		forget();
	}

	async #get(user: LoadUser, client: ChaosClient, { note, id }: OwnNote): Promise<void> {
		const exchange = await client.send("GET", `/v1/note/${id}`, { token: user.token });
		const seen =
			exchange.outcome === "done" ? [seenOf(exchange.data as Note)] : exchange.status === 404 ? [] : undefined;
		const outcome = seen ? "done" : exchange.outcome;
		this.#record({ kind: "read", user: user.name, note, ...(seen && { seen }) }, { ...exchange, outcome });
	}

	async #list(user: LoadUser, client: ChaosClient): Promise<void> {
		const exchange = await client.send("GET", "/v1/note/query?limit=20", { token: user.token });
		const page = exchange.data as { total: number; notes: Note[] } | undefined;
		const seen = page && { seen: page.notes.map(seenOf), total: page.total };
		this.#record({ kind: "list", user: user.name, note: "", ...seen }, exchange);
	}

	/** Reads what the writers have written, from wherever: what one gateway has acknowledged, the other one shows. */
	async #read(client: ChaosClient): Promise<void> {
		for (; !this.#stopped; await this.#pause()) {
			const user = this.users[Math.floor(this.#random() * this.users.length)] as LoadUser;
			const notes = this.#notes.get(user) ?? [];
			const note = notes[Math.floor(this.#random() * notes.length)];
			if (note) await this.#get(user, client, note);
			else await this.#list(user, client);
		}
		client.close();
	}

	/** Newcomers, one after the other; each repeats its request under its key until it knows. */
	async #register(client: ChaosClient): Promise<void> {
		for (; !this.#stopped; await delay(REGISTRATION_PAUSE_MS)) {
			const user = `${this.#label}-newcomer-${++this.#count}`;
			const headers = { "Idempotency-Key": randomUUID() };
			const json = { username: user, password: PASSWORD };
			for (let known = false; !known; ) {
				const exchange = await client.send("POST", "/v1/user/register", { json, headers });
				known = exchange.status === 201 || exchange.outcome === "refused" || this.#stopped;
				const outcome = exchange.status === 202 ? "unknown" : exchange.outcome;
				this.#record({ kind: "register", user, note: "" }, { ...exchange, outcome });
				if (!known) await delay(RETRY_PAUSE_MS);
			}
		}
		client.close();
	}

	#record(what: Omit<Operation, keyof Exchange>, { data, ...exchange }: Exchange): void {
		this.operations.push({ ...what, ...exchange });
	}

	#pause(): Promise<void> {
		return delay(this.#random() * LONGEST_PAUSE_MS);
	}
}

function seenOf({ title, content }: Note): SeenNote {
	return { note: title, text: content };
}
