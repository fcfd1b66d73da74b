import type { SQLInputValue, SQLOutputValue } from "node:sqlite";

/** Values for the placeholders of a statement, by name or by position. */
export type Values = Record<string, unknown> | unknown[];

/** A row of a result. */
export type Row = Record<string, SQLOutputValue>;

/** Whether a statement needs no write lock. In doubt it does. */
export function onlyReads(sql: string): boolean {
	if (/^\s*WITH\b/i.test(sql)) return !/\b(?:INSERT|UPDATE|DELETE|REPLACE)\b/i.test(sql);
	return /^\s*(?:SELECT|VALUES|PRAGMA|EXPLAIN)\b/i.test(sql);
}

function toInput(value: unknown): SQLInputValue {
	if (value === undefined) return null;
	if (typeof value === "boolean") return value ? 1n : 0n;
	// node:sqlite binds every number as REAL, and a text column would then keep "5.0" for 5.
	if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
	return value as SQLInputValue;
}

/** The arguments of a prepared statement: one object for named placeholders, or the values one by one. */
export function toInputs(values: Values): SQLInputValue[] {
	if (Array.isArray(values)) return values.map(toInput);
	const named = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toInput(value)]));
	// The types of node:sqlite know the object only as the first of several parameters.
	return [named] as unknown as SQLInputValue[];
}

/** A row as the `sqlite3` package gives it: a plain object, with a Buffer for bytes. */
export function toRow(row: Row): Row {
	const plain: Row = {};
	for (const name of Object.keys(row)) {
		const value = row[name] as SQLOutputValue;
		plain[name] = value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
	}
	return plain;
}
