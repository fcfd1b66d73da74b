/** moleculer's serializers that can be compared: the default, and those in binary. */
export const SERIALIZERS = ["JSON", "MsgPack", "Notepack", "CBOR"];
