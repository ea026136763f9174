/**
 * Scopes of the distribution token protocol: `repository:a/b:pull,push`. Those of one resource become one with the actions of all, and the list is in order, so
 * that the same wishes are the same text.
 */
export function mergeScopes(scopes: Iterable<string>): readonly string[] {
	const actions = new Map<string, Set<string>>();
	for (const scope of [...scopes].flatMap(one => one.split(' '))) {
		const colon = scope.lastIndexOf(':');
		if (colon > 0) {
			const resource = scope.slice(0, colon);
			actions.set(resource, new Set([...actions.get(resource) ?? [], ...scope.slice(colon + 1).split(',').filter(one => one !== '')]));
		}
	}
	return [...actions].map(([resource, of]) => `${resource}:${[...of].toSorted().join(',')}`).toSorted();
}
