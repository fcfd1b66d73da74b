/** What a client asked for. */
export type Kind = "create" | "update" | "remove" | "read" | "list" | "register";

/**
 * What the client knows afterwards: it was acknowledged; it was refused, so nothing may have changed; or it failed, by our
 * fault or without an answer, so that either may be.
 */
export type Outcome = "done" | "refused" | "unknown";

/** A note as a client sees it. */
export interface SeenNote {
	/** The note's title, which no two notes share: it is the name under which the client knows it. */
	note: string;
	/** Its content, which no two writes share. */
	text: string;
}

/** One request and what came of it. */
export interface Operation {
	kind: Kind;
	user: string;
	/** The note it is about; "" for a list and a registration. */
	note: string;
	/** What a create or an update writes. */
	text?: string;
	/** What a read or a list that was answered has shown. */
	seen?: SeenNote[];
	/** How many notes a list said there are. */
	total?: number;
	/** By `performance.now()`. */
	began: number;
	ended: number;
	outcome: Outcome;
	/** Status of the answer, 0 where none came. */
	status: number;
	/** How the answer breaks the HTTP contract. */
	breach?: string;
}

/** A row of the notes' table. */
export interface NoteRow extends SeenNote {
	id: number;
	version: number;
	deleted: boolean;
}

/** A user's row, and what its account holds. */
export interface AccountRow {
	user: string;
	status: string;
	/** Times that points were granted and not revoked. */
	grants: number;
	balance: number;
}

/** How things are when all is quiet again. */
export interface FinalState {
	notes: NoteRow[];
	/** Notes by user, as the API lists them. */
	listed: ReadonlyMap<string, readonly SeenNote[]>;
	accounts: AccountRow[];
	/** Entries of the audit log that tell of something done: `<action> <note id>`. */
	audited: string[];
	/** Chains of the audit log that are broken. */
	brokenChains: string[];
	/** Users whose number of notes is not that of their notes. */
	miscounted: string[];
	/** What did not come to rest: rows of outboxes, sagas. */
	unsettled: string[];
}
