import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RouteLoad } from "../../services/api/route-load.ts";

const MOST = 1_000;

/** A route with so many requests under way. */
function loaded(inFlight: number): { load: RouteLoad; all: { inFlight: number } } {
	const all = { inFlight: 0 };
	const load = new RouteLoad(all);
	for (let i = 0; i < inFlight; i++) load.begin();
	return { load, all };
}

/** How many more it takes. */
function room(load: RouteLoad, upTo = MOST): number {
	let begun = 0;
	for (; begun < upTo && load.hasRoom(); begun++) load.begin();
	for (let i = 0; i < begun; i++) load.end();
	return begun;
}

describe("The load of a route", () => {
	it("is counted by itself and with that of all others", () => {
		const { load, all } = loaded(3);
		const other = new RouteLoad(all);
		other.begin();
		load.end();
		assert.equal(all.inFlight, 3);
		other.end();
		assert.equal(all.inFlight, 2);
	});

	it("has no bound before a service had no room", () => {
		const { load } = loaded(10);
		assert.equal(room(load), MOST);
	});

	it("is a quarter less after a refusal, however many of those under way are refused and when, and less again after the next one", () => {
		const { load } = loaded(100);
		load.refused();
		for (let i = 0; i < 60; i++) load.end();
		load.refused();
		load.sample(MOST);
		load.refused();
		assert.equal(room(load), 35);

		const next = loaded(100).load;
		next.refused();
		for (let i = 0; i < 100; i++) next.end();
		for (let i = 0; i < 60; i++) next.begin();
		next.refused();
		for (let i = 0; i < 60; i++) next.end();
		assert.equal(room(next), 45);
	});

	it("grows by a twentieth with each sample without a refusal, until it has no bound", () => {
		const { load } = loaded(40);
		load.refused();
		for (let i = 0; i < 40; i++) load.end();
		assert.equal(room(load), 30);
		load.sample(MOST);
		assert.equal(room(load), 30);
		load.sample(MOST);
		assert.equal(room(load), 32);
		load.sample(MOST);
		assert.equal(room(load), 34);
		for (let i = 0; i < 200; i++) load.sample(MOST);
		assert.equal(room(load, 2 * MOST), 2 * MOST);
	});

	it("is never less than eight, so that a service which takes requests again is found", () => {
		const { load } = loaded(1);
		load.refused();
		load.end();
		assert.equal(room(load), 8);
	});
});
