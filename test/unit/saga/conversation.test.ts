import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { sagaOngoing } from "../../../mixins/saga/errors.ts";
import { conversation } from "../../../mixins/saga/testing.ts";

interface Trip {
	who: string;
}

const trip = defineSaga<Trip, { hotel: { room: number } }>({
	name: "trip",
	version: 1,
	steps: [
		{ name: "hotel", action: "hotel.book", compensate: "hotel.cancel" },
		{
			name: "car",
			action: "car.rent",
			compensate: "car.return",
			params: ({ results }) => ({ room: results.hotel?.room ?? null })
		},
		{ name: "mail", action: "mail.send" }
	]
});
const payload = { who: "ann" };

/** b and c start together after a; d needs both. */
const diamond = defineSaga({
	name: "diamond",
	version: 1,
	steps: [
		{ name: "a", action: "a.do", compensate: "a.undo" },
		{ name: "b", action: "b.do", compensate: "b.undo", after: ["a"] },
		{ name: "c", action: "c.do", compensate: "c.undo", after: ["a"] },
		{ name: "d", action: "d.do", compensate: "d.undo", after: ["b", "c"] }
	]
});

describe("A saga as a conversation", () => {
	it("calls its actions in order and hands an answer on to the next step (R9)", () =>
		conversation(trip, payload)
			.expect("hotel.book", { who: "ann" })
			.reply({ room: 7 })
			.expect("car.rent", { room: 7 })
			.reply()
			.expect("mail.send", { who: "ann" })
			.reply()
			.ends("succeed"));

	it("takes back in reverse what a refused step leaves, that step included (R4)", () =>
		conversation(trip, payload)
			.expect("hotel.book")
			.reply({ room: 7 })
			.expect("car.rent")
			.refuse("no car")
			.expect("car.return", { room: 7 })
			.reply()
			.expect("hotel.cancel", { who: "ann" })
			.reply()
			.ends("failed", "no car"));

	it("takes nothing back that was never sent, and has nothing to send for a step without compensation", () =>
		conversation(trip, payload).expect("hotel.book").refuse().expect("hotel.cancel").reply().ends("failed", "no"));

	it("tries an action again after an error that says nothing (R6)", () =>
		conversation(trip, payload)
			.expect("hotel.book")
			.fail(new Error("ECONNRESET"))
			.expect("hotel.book")
			.reply({ room: 7 })
			.expect("car.rent", { room: 7 })
			.fail(sagaOngoing())
			.expect("car.rent")
			.reply()
			.expect("mail.send")
			.reply()
			.ends("succeed"));

	it("tries a compensation again whatever it answers, a refusal included (R7)", () =>
		conversation(trip, payload)
			.expect("hotel.book")
			.refuse("full")
			.expect("hotel.cancel")
			.refuse("will not")
			.expect("hotel.cancel")
			.fail(new Error("oops"))
			.expect("hotel.cancel")
			.reply()
			.ends("failed", "full"));

	it("rolls back when an action has been tried as often as allowed (R7)", () =>
		conversation(trip, payload, { maxAttempts: 2 })
			.expect("hotel.book")
			.fail(new Error("down"))
			.expect("hotel.book")
			.fail(new Error("still down"))
			.expect("hotel.cancel")
			.reply()
			.ends("failed", "Tried 2 times, the last time: still down"));

	it("asks for a person after some failed compensations and goes on (R7)", async () => {
		const saga = conversation(trip, payload, { attentionAfter: 2 }).expect("hotel.book").refuse();
		saga.expect("hotel.cancel").fail(new Error("1"));
		saga.expect("hotel.cancel").fail(new Error("2"));
		await saga
			.expect("hotel.cancel")
			.reply()
			.ends("failed", "no", ({ needsAttention, steps }) => {
				assert.equal(needsAttention, true);
				assert.equal(steps[0]?.attempts, 2);
			});
	});

	it("starts steps side by side as soon as what they depend on is done", () =>
		conversation(diamond, {})
			.expect("a.do")
			.reply()
			.expect("b.do")
			.reply()
			.expect("c.do")
			.reply()
			.expect("d.do")
			.reply()
			.ends("succeed"));

	it("goes the declared order backwards, over what ran only", () =>
		conversation(diamond, {})
			.expect("a.do")
			.reply()
			.expect("b.do")
			.refuse("no b")
			.expect("c.do")
			.reply()
			.expect("b.undo")
			.reply()
			.expect("c.undo")
			.reply()
			.expect("a.undo")
			.reply()
			.ends("failed", "no b"));

	it("reports a call that was not expected", async () => {
		const saga = conversation(trip, payload).expect("hotel.book").reply();
		await assert.rejects(saga.ends("succeed"), { message: /car\.rent/ });
	});
	it("reports a call that did not come", async () => {
		const saga = conversation(trip, payload).expect("hotel.book").refuse().expect("hotel.cancel").reply();
		await assert.rejects(saga.expect("car.return").reply().ends("failed"), { message: /a call that did not come/ });
	});
});
