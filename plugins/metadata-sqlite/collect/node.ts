/** What the collector reasons about, as one text, so that sets of a hundred thousand stay small: kind, namespace and key. */
export type Node = string;

export type NodeKind = 'content' | 'snapshot' | 'ingest' | 'image' | 'lease' | 'container' | 'mount' | 'stream';

// No identifier and no namespace contains it.
const SEPARATOR = '\0';

/** A snapshot's key is `<snapshotter>/<name>`. */
export function nodeOf(kind: NodeKind, namespace: string, key: string): Node {
	return `${kind}${SEPARATOR}${namespace}${SEPARATOR}${key}`;
}

/** The same thing, reached so that its own labels are not followed. */
export function flat(node: Node): Node {
	return `!${node}`;
}

export interface NodeParts {
	readonly kind: NodeKind;
	readonly namespace: string;
	readonly key: string;
	readonly isFlat: boolean;
}

export function partsOf(node: Node): NodeParts {
	const isFlat = node.startsWith('!');
	const first = node.indexOf(SEPARATOR);
	const second = node.indexOf(SEPARATOR, first + 1);
	return {
		kind: node.slice(isFlat ? 1 : 0, first) as NodeKind,
		namespace: node.slice(first + 1, second),
		key: node.slice(second + 1),
		isFlat,
	};
}

/** Splits a snapshot's key. */
export function snapshotOf(key: string): {readonly snapshotter: string; readonly name: string} {
	const slash = key.indexOf('/');
	return {snapshotter: key.slice(0, slash), name: key.slice(slash + 1)};
}
