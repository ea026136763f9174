/**
 * Mounts that the daemon performs and remembers, for whoever has only values.
 *
 * An *activation* is a list of mounts under a name. Those that this machine's runtimes cannot perform are performed by the manager and become
 * *active*, each at a *mount point* of the manager's; the rest, in which what the active ones became is filled in, is the *system* part, which is left
 * to the runtime. A mount's type may begin with *transformers*, each a word and a slash:
 *
 *     format/   `{{ mount 0 }}`, `{{ source 0 }}`, `{{ target 0 }}`, `{{ overlay 0 2 }}` in source, target and options name active mounts by their index
 *     mkfs/     the source, a file, is made with a file system when it is not there       X-containerd.mkfs.size= .fs= .uuid=
 *     mkdir/    directories are made                                                      X-containerd.mkdir.path=<path>[:<mode>[:<uid>:<gid>]]
 *
 * A *handler* performs the mounts of a type that mount(2) does not know: `loop` makes a block device of a file, and its mount point is a link to the
 * device. All before the last mount that has a transformer, all up to the last that has a handler, and of a *temporary* activation simply all are
 * performed; that one then has a bind mount of the last for its system part.
 *
 *     [{type: 'loop', source: '/images/a.ext4'}, {type: 'format/ext4', source: '{{ mount 0 }}'}]
 *       ─► active: [loop at …/1]   system: [{type: 'ext4', source: '…/1'}]
 *
 *     activate ─► (info, list) ─► deactivate, or collected
 *
 * Garbage collection takes an activation that nothing holds: the lease of the call that made it, what its labels `containerd.io/gc.bref.…` name, what
 * is labelled `containerd.io/gc.ref.mount` with its name, or its own labels `gc.root` and `gc.expire`. Activations outlive the daemon. They do not
 * outlive the machine, since whatever they were made for ended with it: after a reboot, and when somebody else has unmounted them, they are gone.
 *
 * Changes of labels are left out, as containerd leaves them out.
 */

import {contract} from '../../kernel/contract.ts';
import type {Labels} from '../oci/labels.ts';
import type {Mount} from '../oci/mount.ts';

export interface ActiveMount {
	/** As it was performed: transformed, its type without transformers. */
	readonly mount: Mount;
	readonly mountedAt: Date;
	/** An absolute path: of a directory, unless a handler made something else. */
	readonly mountPoint: string;
	/** What the handler has to say: `device` of `loop`. */
	readonly data: Readonly<Record<string, string>>;
}

export interface Activation {
	readonly name: string;
	/** In the order of the request. */
	readonly active: readonly ActiveMount[];
	/** Left to the runtime; performed in order onto one root. */
	readonly system: readonly Mount[];
	readonly labels: Labels;
}

export interface ActivateMounts {
	readonly name: string;
	readonly mounts: readonly Mount[];
	readonly labels?: Labels;
	/** Every mount is performed. */
	readonly isTemporary?: boolean;
}

/** The activations of one namespace, as one request sees them. */
export interface Activations {
	/**
	 * Resolves when what is to be active is. After a failure nothing is left, neither mounts nor a name; files and directories that transformers made
	 * stay; a directory or file that is there already is left as it is. Rejects with UNIMPLEMENTED when nothing is to be done, so that the runtime can perform the mounts as they are; ALREADY_EXISTS (name);
	 * NOT_FOUND (the lease, a source); INVALID_ARGUMENT (name, labels, number of mounts, templates, options of transformers, a path that they may not
	 * touch); FAILED_PRECONDITION (what is there is no such thing, a name that cannot be given back yet); what mount(2) says.
	 */
	activate(request: ActivateMounts, signal?: AbortSignal): Promise<Activation>;
	/**
	 * Unmounts, the newest first, and forgets. Rejects with NOT_FOUND; FAILED_PRECONDITION while something uses a mount (an overlay that stands on
	 * it does not: it has the file system for itself, and that its device). When mounts above that one are gone by then, nobody is shown the activation any more: the rest goes when this is called again, with the next collection, or when the name
	 * is activated again.
	 */
	deactivate(name: string): Promise<void>;
	/** Rejects with NOT_FOUND. */
	info(name: string): Promise<Activation>;
	/** Filters are OR-ed: `name`, `labels.<key>`; none: all. By name. Rejects with INVALID_ARGUMENT. */
	list(filters?: readonly string[]): Promise<readonly Activation[]>;
}

export interface MountManager {
	/** `lease` holds what is activated; it must be there. Throws INVALID_ARGUMENT when the namespace is no identifier. */
	activations(scope: {readonly namespace: string; readonly lease?: string}): Activations;
}

/** Performs the mounts of one type: the last part of its plugin's id. They are never left to the runtime. */
export interface MountHandler {
	/**
	 * Makes `target`, which is not there, in a directory of the manager's: a directory, a file, or a link; names that begin with it and a dot are the
	 * handler's own. Resolves with what the type has to say. After a failure, and a kill at any instant, `unmount` undoes what there is.
	 */
	mount(mount: Mount, target: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
	/** Whether it stands as it was made. */
	isMounted(target: string): Promise<boolean>;
	/** Undoes it, and removes what was made. Harmless when there is nothing. Rejects with FAILED_PRECONDITION while it is in use. */
	unmount(target: string): Promise<void>;
}

/** Handlers by type. */
export const MountHandler = contract('io.containerd.mount-handler.v1').for<MountHandler>();

export const MountManager = contract('io.containerd.mount-manager.v1').for<MountManager>();
