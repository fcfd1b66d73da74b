import type { BrokerOptions } from "moleculer";
import { env } from "../../lib/env.ts";
import { brokerOptions } from "../../moleculer.config.ts";

/** The project's own configuration, with the serializer that `SERIALIZER` names. */
export default (): BrokerOptions => {
	const serializer = process.env.SERIALIZER as Extract<BrokerOptions["serializer"], string>;
	return { ...brokerOptions(env()), serializer };
};
