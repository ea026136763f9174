import type {Labels} from '../../contracts/oci/labels.ts';

/** A peer that collects garbage of its own, as a containerd does, leaves alone what has this label: only we know who still refers to it. */
const ROOT = 'containerd.io/gc.root';
const OURS = 'io.keelson.proxy';

/** Labels as the peer keeps them. */
export function withRoot(labels: Labels): Record<string, string> {
	return {[ROOT]: OURS, ...labels};
}

/** Labels as they were given to us. */
export function withoutRoot(labels: Labels): Labels {
	const {[ROOT]: root, ...rest} = labels;
	return root === OURS ? rest : labels;
}
