import {createHash} from 'node:crypto';

/** Where shims of every containerd listen: paths of daemons' state directories may be too long for a socket. */
export const shimSocketDirectory = '/run/containerd/s';

/** A shim's socket, by the daemon's gRPC address, namespace, and the id of the first container, or the group. */
export function shimSocketPath(address: string, namespace: string, id: string): string {
	return `${shimSocketDirectory}/${createHash('sha256').update(`${address}/${namespace}/${id}`).digest('hex')}`;
}
