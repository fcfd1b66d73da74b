import { type Model, type ModelStatic, type Transaction, UniqueConstraintError } from "sequelize";
import { fold } from "../../lib/fold.ts";
import type { Role } from "../../lib/identity.ts";
import type { UserCreation, UserRow } from "../../models/user.model.ts";
import { type Registered, type Registration, userError } from "./user.contract.ts";
import type { StoredUser } from "./user.domain.ts";

/** A user and the hash of the password that is good now. */
export interface UserSecret {
	id: number;
	password_hash: string;
}

const PUBLIC = ["id", "username", "avatar"];

/** The table; rows are read `raw`, so they are plain objects. */
export type UserTable = ModelStatic<Model<UserRow, UserCreation> & UserRow>;
export type UserStore = ReturnType<typeof userStore>;

/**
 * The user table as plain objects; password hashes leave it through `passwordOf*` only. The model's default scope leaves
 * PENDING users out of everything that is not `unscoped`.
 */
export function userStore(users: UserTable) {
	return {
		/** Stores a PENDING user. @throws USERNAME_TAKEN where the unique index says so: looking first would leave a gap */
		async reserve({ username, password_hash }: Registration, transaction: Transaction): Promise<Registered> {
			const row = { username, username_key: fold(username), password_hash, status: "PENDING" as const };
			try {
				const user = await users.create(row, { transaction });
				return { user_id: user.get("id") };
			} catch (error) {
				if (error instanceof UniqueConstraintError) throw userError("USERNAME_TAKEN");
				throw error;
			}
		},

		/** Removes a PENDING user, whose name is free then. */
		async release({ username }: Registration, transaction: Transaction): Promise<void> {
			const where = { username_key: fold(username), status: "PENDING" };
			await users.unscoped().destroy({ where, transaction });
		},

		/** Makes a user one that others see and that can log in, or takes that back. */
		async setStatus(id: number, status: UserRow["status"], transaction: Transaction): Promise<void> {
			await users.unscoped().update({ status }, { where: { id }, transaction });
		},

		passwordOfName(username: string): Promise<UserSecret | null> {
			return users.findOne({
				attributes: ["id", "password_hash"],
				where: { username_key: fold(username) },
				raw: true
			});
		},

		passwordOfId(id: number): Promise<UserSecret | null> {
			return users.findOne({ attributes: ["id", "password_hash"], where: { id }, raw: true });
		},

		/** Whether the password is still that one; it stays so until the transaction ends. */
		async hasPassword({ id, password_hash }: UserSecret, transaction: Transaction): Promise<boolean> {
			const where = { id, password_hash };
			const options = { attributes: ["id"], lock: transaction.LOCK.SHARE, transaction, raw: true };
			return (await users.findOne({ where, ...options })) !== null;
		},

		/** @throws WRONG_CREDENTIALS where the password is not `user.password_hash` any more */
		async setPassword(user: UserSecret, passwordHash: string, transaction: Transaction): Promise<void> {
			const { id, password_hash } = user;
			const [changed] = await users.update(
				{ password_hash: passwordHash },
				{ where: { id, password_hash }, transaction }
			);
			if (changed !== 1) throw userError("WRONG_CREDENTIALS");
		},

		async setRole(id: number, role: Role, transaction: Transaction): Promise<boolean> {
			const [changed] = await users.update({ role }, { where: { id }, transaction });
			return changed === 1;
		},

		async roleOf(id: number): Promise<Role> {
			const user = await users.findByPk(id, { attributes: ["role"], raw: true });
			return user?.role === "admin" ? "admin" : "user";
		},

		findByName(username: string): Promise<StoredUser | null> {
			return users.findOne({ attributes: PUBLIC, where: { username_key: fold(username) }, raw: true });
		},

		findMany(ids: readonly number[]): Promise<StoredUser[]> {
			return users.findAll({ attributes: PUBLIC, where: { id: [...ids] }, order: ["id"], raw: true });
		}
	};
}
