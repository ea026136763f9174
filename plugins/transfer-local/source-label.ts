import {parseReference} from '../../contracts/oci/reference.ts';

/** The label that says from which repositories of a registry a blob came; the port does not count, as with containerd. */
export function sourceLabel(reference: string): string {
	return `containerd.io/distribution.source.${parseReference(reference).host.replace(/:\d+$/, '')}`;
}
