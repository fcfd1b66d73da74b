import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import type { Answer } from "../support/client.ts";
import type { OpenApiDocument, Operation } from "./document.ts";

/** What an answer must never hold: how the server is built. */
const INSIDES = /node_modules|SQLITE_|SequelizeDatabase|\bat (?:async )?\S+ \(|\bER_[A-Z_]{4,}|\$argon2id\$/;

/** Judges answers by an OpenAPI document. */
export interface Contract {
	/** What an answer to an operation breaks; nothing where it keeps to the document. */
	breaches(operation: Operation, method: string, answer: Answer): string[];
}

export function contractOf(document: OpenApiDocument): Contract {
	const ajv = new Ajv2020({ strict: false, allErrors: true });
	ajv.addSchema(document, "document");
	const validators = new Map<string, ValidateFunction>();
	const validate = (pointer: string, body: unknown): string[] => {
		const validator = validators.get(pointer) ?? ajv.compile({ $ref: `document#${pointer}` });
		validators.set(pointer, validator);
		return validator(body) ? [] : (validator.errors ?? []).map(error => `${error.instancePath} ${error.message}`);
	};

	return {
		breaches(operation, method, answer) {
			const found: string[] = [];
			if (answer.status >= 500) found.push(`${answer.status} ${answer.text}`);
			if (!/^[0-9a-f]{32}$/.test(String(answer.headers["x-request-id"]))) found.push("no X-Request-ID");
			if (answer.headers["x-injected"] !== undefined) found.push("a header of the client's");
			const inside = INSIDES.exec(answer.text);
			if (inside)
				found.push(`tells what it is made of: ${answer.text.slice(Math.max(0, inside.index - 150)).slice(0, 300)}`);
			if (method === "HEAD") return answer.text === "" ? found : [...found, "a body for HEAD"];

			const type = String(answer.headers["content-type"]);
			if (type !== "application/json; charset=utf-8") return [...found, `Content-Type ${type}`];
			let body: unknown;
			try {
				body = JSON.parse(answer.text);
			} catch {
				return [...found, `not JSON: ${answer.text.slice(0, 300)}`];
			}
			return [...found, ...bodyBreaches(operation, method, answer, body)];
		}
	};

	function bodyBreaches({ path }: Operation, method: string, { status, headers }: Answer, body: unknown): string[] {
		const asked = document.paths[path]?.[method.toLowerCase()];
		if (asked?.responses[status]) {
			const pointer = ["paths", path, method.toLowerCase(), "responses", String(status), "content", "application/json"];
			return validate(`/${[...pointer, "schema"].map(pointerPart).join("/")}`, body);
		}
		// The document has no word for what no operation stands for: another method, another path, a request that is no HTTP.
		if (![404, 405, 431].includes(status) || (asked && status === 404)) return [`status ${status} is not documented`];
		if (status === 405 && !headers.allow) return ["405 without Allow"];
		return validate("/components/schemas/Failure", body);
	}
}

/** A part of a JSON pointer within a URI fragment. */
function pointerPart(part: string): string {
	return encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
}
