import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';

const groupAnnotations = ['io.containerd.runc.v2.group', 'io.kubernetes.cri.sandbox-id'];

/** The group whose shim a container belongs to, by its spec's annotations; undefined: it is alone, as a sandbox is that has no spec. */
export function groupOf(bundle: string): string | undefined {
	const file = path.join(bundle, 'config.json');
	if (!existsSync(file)) {
		return undefined;
	}
	const {annotations = {}} = JSON.parse(readFileSync(file, 'utf8')) as {annotations?: Record<string, string>};
	const name = groupAnnotations.find(one => (annotations[one] ?? '') !== '');
	return name === undefined ? undefined : annotations[name];
}
