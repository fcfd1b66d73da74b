import { stripVTControlCharacters } from "node:util";
import { Child } from "../../scripts/servers/child.ts";

const TIMEOUT_MS = 30_000;

/** A command that runs in a pseudo-terminal, as it would under a person's hands. */
export interface Terminal {
	/** Types a line, and waits for what it brings up where `answer` is given. */
	type(line: string, answer?: RegExp): Promise<void>;
	/** Waits until what was printed since the last wait matches. @throws after 30 s or at the end of the command */
	waitFor(pattern: RegExp): Promise<void>;
	/** Types a line that ends the command. @returns its exit code */
	leave(line: string): Promise<number | null>;
}

/** Runs a shell command in a pseudo-terminal (util-linux' `script`). It is killed at the latest when the test file ends. */
export function openTerminal(command: string, env: Record<string, string>): Terminal {
	const child = new Child("script", ["-qefc", command, "/dev/null"], {
		env: { PATH: process.env.PATH, HOME: env.HOME ?? "/tmp", TERM: "xterm", COLUMNS: "200", ...env },
		stdio: ["pipe", "pipe", "pipe"]
	});
	let unread = "";
	let look = () => {};
	child.stdout?.on("data", chunk => {
		unread += stripVTControlCharacters(String(chunk));
		look();
	});

	const waitFor = (pattern: RegExp) =>
		new Promise<void>((resolve, reject) => {
			const fail = (why: string) => reject(new Error(`${why} ${pattern}:\n${unread}`));
			const timer = setTimeout(fail, TIMEOUT_MS, "Nothing in time matched");
			child.onExit(() => fail("The command ended before"));
			look = () => {
				const match = pattern.exec(unread);
				if (!match) return;
				clearTimeout(timer);
				unread = unread.slice(match.index + match[0].length);
				resolve();
			};
			look();
		});

	const type = async (line: string, answer?: RegExp) => {
		unread = "";
		child.stdin?.write(`${line}\r`);
		if (answer) await waitFor(answer);
	};
	return {
		waitFor,
		type,
		async leave(line) {
			await type(line);
			return (await child.exited).code;
		}
	};
}
