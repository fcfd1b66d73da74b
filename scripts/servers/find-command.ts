import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

// Debian keeps some daemons where only root's PATH looks.
const DAEMON_FOLDERS = ["/usr/sbin", "/usr/local/sbin"];

/** Returns the full path of an executable on the PATH or in a folder for daemons, undefined when there is none. */
export function findCommand(command: string): string | undefined {
	const folders = (process.env.PATH ?? "").split(delimiter).filter(folder => folder !== "");
	return [...folders, ...DAEMON_FOLDERS].map(folder => join(folder, command)).find(isExecutable);
}

function isExecutable(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
