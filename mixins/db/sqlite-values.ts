import type { SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";

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

/**
 * For statements that only read: a number beyond 2^53 makes node:sqlite throw, and then the statement is run again with
 * BigInts. That is rare.
 */
export function readRows(statement: StatementSync, inputs: SQLInputValue[]): Row[] {
	try {
		return statement.all(...inputs).map(toRow);
	} catch (error) {
		if ((error as { code?: unknown }).code !== "ERR_OUT_OF_RANGE") throw error;
		return readExactRows(statement, inputs);
	}
}

/** The rows of a statement, with text for an integer that JavaScript can not hold, as on MySQL. */
export function readExactRows(statement: StatementSync, inputs: SQLInputValue[]): Row[] {
	statement.setReadBigInts(true);
	try {
		return statement.all(...inputs).map(toRow);
	} finally {
		statement.setReadBigInts(false);
	}
}

/** A row as the `sqlite3` package gives it: a plain object, with a Buffer for bytes. */
function toRow(row: Row): Row {
	const plain: Row = {};
	for (const name of Object.keys(row)) plain[name] = toOutput(row[name] as SQLOutputValue);
	return plain;
}

function toOutput(value: SQLOutputValue): SQLOutputValue {
	if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
	if (typeof value !== "bigint") return value;
	const number = Number(value);
	return Number.isSafeInteger(number) ? number : String(value);
}
