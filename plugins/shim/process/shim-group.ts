import {readFileSync} from 'node:fs';
import path from 'node:path';

const groupAnnotations = ['io.containerd.runc.v2.group', 'io.kubernetes.cri.sandbox-id'];

/** The group whose shim a container belongs to, by its spec's annotations; undefined: it is alone. */
export function groupOf(bundle: string): string | undefined {
	const {annotations = {}} = JSON.parse(readFileSync(path.join(bundle, 'config.json'), 'utf8')) as {annotations?: Record<string, string>};
	const name = groupAnnotations.find(one => (annotations[one] ?? '') !== '');
	return name === undefined ? undefined : annotations[name];
}
