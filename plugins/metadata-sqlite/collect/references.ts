import type {Labels} from '../../../contracts/oci/labels.ts';
import {nodeOf, type Node} from './node.ts';

// https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md, Garbage Collection labels.
const PREFIX = 'containerd.io/gc.';
const ROOT = `${PREFIX}root`;
const EXPIRE = `${PREFIX}expire`;
const FLAT = `${PREFIX}flat`;

/** Whether labels, as they stand in a row, say anything that concerns collection: most do not, and need no parsing. */
export function concernsCollection(encoded: string): boolean {
	return encoded.includes(PREFIX);
}

export function isRoot(labels: Labels): boolean {
	return Object.hasOwn(labels, ROOT);
}

export function isFlat(labels: Labels): boolean {
	return Object.hasOwn(labels, FLAT);
}

/** Milliseconds since 1970; undefined when there is no such label or it is no time, which must not take anything away. */
export function expiryOf(labels: Labels): number | undefined {
	const time = Object.hasOwn(labels, EXPIRE) ? Date.parse(labels[EXPIRE] ?? '') : Number.NaN;
	return Number.isNaN(time) ? undefined : time;
}

/** What the labelled thing keeps: `containerd.io/gc.ref.content`, `….content.0`, `….snapshot.overlayfs/0`, `….image`, `….mount`. */
export function referencesOf(namespace: string, labels: Labels): readonly Node[] {
	return targets(namespace, labels, `${PREFIX}ref.`);
}

/** What keeps the labelled thing: the same with `bref`, and containers too. */
export function backReferencesOf(namespace: string, labels: Labels): readonly Node[] {
	return targets(namespace, labels, `${PREFIX}bref.`);
}

function targets(namespace: string, labels: Labels, prefix: string): readonly Node[] {
	const nodes: Node[] = [];
	for (const [key, value] of Object.entries(labels)) {
		if (!key.startsWith(prefix)) {
			continue;
		}
		const [, kind, name] = /^([a-z]+)(?:[./]([^/]*))?/.exec(key.slice(prefix.length)) ?? [];
		const isBack = prefix.endsWith('bref.');
		if (kind === 'content' || kind === 'image' || (kind === 'container' && isBack) || (kind === 'mount' && !isBack)) {
			nodes.push(nodeOf(kind, namespace, value));
		} else if (kind === 'snapshot' && name !== undefined) {
			nodes.push(nodeOf('snapshot', namespace, `${name}/${value}`));
		}
	}
	return nodes;
}
