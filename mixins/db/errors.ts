import { Errors } from "moleculer";
import { UniqueConstraintError, ValidationError } from "sequelize";

/**
 * Translates what goes wrong in a generic action into errors that keep their meaning on the way to another node, where
 * only message, code, type and data arrive:
 *
 * - no such row: 404 `ENTITY_NOT_FOUND` (moleculer-db's own 404 has no type)
 * - a unique column has that value already: 409 `ENTITY_EXISTS`, `data.fields`
 * - a value that the model refuses: 422 `VALIDATION_ERROR`, `data` is a list of `{ field, type, message }`
 *
 * Everything else is handed back as it is.
 */
export function toActionError(error: unknown): unknown {
	if (error instanceof Errors.MoleculerClientError && error.code === 404 && !error.type)
		return new Errors.MoleculerClientError(error.message, 404, "ENTITY_NOT_FOUND", error.data);

	if (error instanceof UniqueConstraintError)
		return new Errors.MoleculerClientError("Entity exists already", 409, "ENTITY_EXISTS", {
			fields: error.errors.map(({ path }) => path)
		});

	if (error instanceof ValidationError)
		return new Errors.ValidationError(
			"Entity validation error!",
			"VALIDATION_ERROR",
			error.errors.map(({ path, validatorKey, message }) => ({ field: path, type: validatorKey, message }))
		);

	return error;
}
