/** What follows the contract's type in a plugin id: `content` of `io.containerd.content.v1.content`; undefined when it is no id. */
export function nameOf(id: string): string | undefined {
	return /^io\..+?\.v\d+\.(?<name>.+)$/.exec(id)?.groups?.['name'];
}
