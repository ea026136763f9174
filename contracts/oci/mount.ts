/** How to make a file tree appear at a path; a value, performed by whoever needs the tree. */
export interface Mount {
	/** `overlay`, `bind`, or another file system type. */
	readonly type: string;
	readonly source: string;
	/** Below the root that is being mounted; empty is the root itself. */
	readonly target: string;
	readonly options: readonly string[];
}
