/** What an archive's names mean in the tree that it is applied to. */
export interface TreeRules {
	/** The directory `path` shall show nothing of the layers below. `fd` is its descriptor. */
	makeOpaque(path: string, fd: number): void;
	/** The layers below shall not show `base` in `directory`. */
	hide(directory: string, base: string): void;
	/** The archive has made `base` in `directory`. @param isDirectory it was made, not merged with one that was there */
	made(directory: string, base: string, isDirectory: boolean): void;
	/** The archive implies a directory that was not there; it has been made. */
	implied(path: string, fd: number): void;
	/** A hard link's target is not in the tree. @returns whether it is now */
	bring(path: string): boolean;
}
