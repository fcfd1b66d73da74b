import { type Model, type ModelStatic, type Transaction, UniqueConstraintError } from "sequelize";
import type { Role } from "../../lib/identity.ts";
import type { UserCreation, UserRow } from "../../models/user.model.ts";
import { userError } from "./user.contract.ts";
import { type StoredUser, usernameKey } from "./user.domain.ts";

interface Secret {
	id: number;
	password_hash: string;
}

const PUBLIC = ["id", "username", "avatar"];

/** The table; rows are read `raw`, so they are plain objects. */
export type UserTable = ModelStatic<Model<UserRow, UserCreation> & UserRow>;
export type UserStore = ReturnType<typeof userStore>;

/** The user table as plain objects; password hashes leave it through `passwordOf*` only. */
export function userStore(users: UserTable) {
	return {
		/** @throws USERNAME_TAKEN where the unique index says so: looking first would leave room for a race */
		async insert(username: string, passwordHash: string, transaction?: Transaction): Promise<{ id: number }> {
			try {
				const row = { username, username_key: usernameKey(username), password_hash: passwordHash };
				const user = await users.create(row, { ...(transaction && { transaction }) });
				return { id: user.get("id") };
			} catch (error) {
				if (error instanceof UniqueConstraintError) throw userError("USERNAME_TAKEN");
				throw error;
			}
		},

		passwordOfName(username: string): Promise<Secret | null> {
			return users.findOne({
				attributes: ["id", "password_hash"],
				where: { username_key: usernameKey(username) },
				raw: true
			});
		},

		passwordOfId(id: number): Promise<Secret | null> {
			return users.findOne({ attributes: ["id", "password_hash"], where: { id }, raw: true });
		},

		async setPassword(id: number, passwordHash: string, transaction: Transaction): Promise<void> {
			await users.update({ password_hash: passwordHash }, { where: { id }, transaction });
		},

		async setRole(id: number, role: Role, transaction: Transaction): Promise<boolean> {
			const [changed] = await users.update({ role }, { where: { id }, transaction });
			return changed === 1;
		},

		async roleOf(id: number): Promise<Role> {
			const user = await users.findByPk(id, { attributes: ["role"], raw: true });
			return user?.role === "admin" ? "admin" : "user";
		},

		findMany(ids: readonly number[]): Promise<StoredUser[]> {
			return users.findAll({ attributes: PUBLIC, where: { id: [...ids] }, order: ["id"], raw: true });
		}
	};
}
