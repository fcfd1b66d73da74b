/** What the fuzzer reads of an OpenAPI 3.1 document. */
export interface OpenApiDocument {
	paths: Record<string, Record<string, OpenApiOperation>>;
}

export interface JsonSchema {
	type?: string | string[];
	enum?: readonly unknown[];
	minimum?: number;
	maximum?: number;
	minLength?: number;
	maxLength?: number;
	required?: string[];
	properties?: Record<string, JsonSchema>;
}

interface OpenApiOperation {
	operationId: string;
	security?: object[];
	parameters?: { name: string; in: "path" | "query"; required?: boolean; schema: JsonSchema }[];
	requestBody?: { content: Record<string, { schema: JsonSchema }> };
	responses: Record<string, { content?: Record<string, unknown> }>;
}

/** One operation, with all that is needed to ask for it. */
export interface Operation extends OpenApiOperation {
	method: string;
	/** The path with its parameters in braces. */
	path: string;
	/** The schema of its body, where it takes one. */
	body: JsonSchema | undefined;
	takesForm: boolean;
}

/** The operations of a document, in its order. */
export function operationsOf({ paths }: OpenApiDocument): Operation[] {
	return Object.entries(paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, operation]) => {
			const content = operation.requestBody?.content ?? {};
			return {
				...operation,
				method: method.toUpperCase(),
				path,
				body: content["application/json"]?.schema,
				takesForm: "application/x-www-form-urlencoded" in content
			};
		})
	);
}
