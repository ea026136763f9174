import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {ExtraReference, StoreEnd} from '../../contracts/transfer/transfer.ts';

const FULL_NAME = 'io.containerd.image.name';
const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * The names that an imported image gets: its own full name where the archive has one that the prefixes allow, else prefix and tag, else (asked for)
 * prefix and digest. Sets of `@digest` names as containerd's clients expect them.
 */
export function importedNames({annotations = {}, digest}: Pick<Descriptor, 'annotations' | 'digest'>, {name, extraReferences = []}: StoreEnd): readonly string[] {
	const own = annotations[FULL_NAME] ?? '';
	const tag = annotations[REF_NAME] ?? '';
	const names = new Set<string>();
	for (const reference of extraReferences.filter(({isPrefix}) => isPrefix)) {
		const found = own === '' ? prefixed(tag, reference) : allowed(own, reference);
		if (found !== '') {
			names.add(found);
		}
		if (reference.addDigest && (found === '' || !reference.skipNamedDigest)) {
			names.add(`${reference.name}@${digest}`);
		}
	}
	if (name !== '') {
		names.add(name);
	} else if (extraReferences.length === 0 && own !== '') {
		names.add(own);
	}
	for (const reference of extraReferences.filter(({isPrefix}) => !isPrefix)) {
		names.add(reference.name);
	}
	return [...names];
}

/** `allowOverwrite` false: the archive may only name what the prefix covers. */
function allowed(name: string, {name: prefix, allowOverwrite}: ExtraReference): string {
	return allowOverwrite || prefix === '' || isBelow(name, prefix) ? name : '';
}

function prefixed(tag: string, reference: ExtraReference): string {
	if (tag === '') {
		return '';
	}
	return /[/:@]/.test(tag) ? allowed(tag, reference) : reference.name === '' ? '' : `${reference.name}:${tag}`;
}

function isBelow(name: string, prefix: string): boolean {
	return name.startsWith(prefix) && (name.length === prefix.length || '/:@'.includes(name.charAt(prefix.length)));
}
