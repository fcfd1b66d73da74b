import { describe, it } from "node:test";
import { conversation } from "../../mixins/saga/testing.ts";
import { registration } from "../../services/user/user.registration.ts";

describe("The definition of a registration", () => {
	const payload = { username: "ann", password_hash: "x" };
	it("reserves, grants ten points and activates", () =>
		conversation(registration, payload)
			.expect("user.reserve", payload)
			.reply({ user_id: 7 })
			.expect("points.grant", { user_id: 7, points: 10 })
			.reply({ balance: 10 })
			.expect("user.activate", { user_id: 7, username: "ann" })
			.reply()
			.ends("succeed"));
	it("takes the points and the user back, in this order, when it can not be activated", () =>
		conversation(registration, payload)
			.expect("user.reserve")
			.reply({ user_id: 7 })
			.expect("points.grant")
			.reply({ balance: 10 })
			.expect("user.activate")
			.refuse("no")
			.expect("user.deactivate", { user_id: 7, username: "ann" })
			.reply()
			.expect("points.revoke", { user_id: 7, points: 10 })
			.reply()
			.expect("user.release", payload)
			.reply()
			.ends("failed", "no"));
	it("ends at once for a name that is taken", () =>
		conversation(registration, payload)
			.expect("user.reserve")
			.refuse("taken")
			.expect("user.release", payload)
			.reply()
			.ends("failed", "taken"));
});
