import {closeSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {fileSystemStatus} from '../../lib/sys/file-system.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import type {JobControl} from './apply-job.ts';
import {writeFully} from './compare-job.ts';
import {ownerInside, type CopyOwners} from './copy-owners.ts';
import {findPlace, type FoundPlace} from './copy-place.ts';
import {show} from './entry-path.ts';
import {LayerWriter} from './layer-writer.ts';
import type {Change} from './tree-changes.ts';
import {isDirectory, listFiles, openDirectory, type TreeFile} from './tree-file.ts';

/** A part of a tree to pack, as it is sent to a worker. */
export interface PackJob {
	readonly kind: 'pack';
	readonly root: string;
	readonly path: string;
	readonly walks: boolean;
	readonly owners: CopyOwners;
	/** Gets the tar; the worker's to close. */
	readonly output: number;
}

/** Writes files as a tar with synchronous calls: for a worker. Waits where nobody reads. */
export async function runPack({root, path, walks, owners, output}: PackJob, {check}: JobControl): Promise<void> {
	try {
		using place = findPlace(root, path);
		const writer = new LayerWriter({upper: place.directory, latestNs: undefined, ownerOf: file => ownerInside(owners, file)});
		for (const bytes of writer.write(filesOf(place, walks))) {
			check();
			writeFully(output, bytes);
		}
	} finally {
		closeSync(output);
	}
}

function * filesOf({directory, name, label}: FoundPlace, walks: boolean): Iterable<Change> {
	const top: TreeFile = {path: label, directory, name, status: statusAt(directory, name)};
	yield {kind: 'added', file: top};
	if (walks && isDirectory(top)) {
		yield * below(top, 1);
	}
}

/** Each level keeps a descriptor open, and a container can make as many as it likes. */
const depthMax = 1000;

function * below(file: TreeFile, depth: number): Iterable<Change> {
	if (depth > depthMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `directories lie more than ${depthMax} deep: ${show(file.path)}`);
	}
	using inner = openDirectory(file);
	// Without end, or not bytes that anybody wrote.
	if (madeUp.has(fileSystemStatus(`/proc/self/fd/${inner.fd}/.`).type)) {
		return;
	}
	for (const one of listFiles(inner.fd, file.path)) {
		yield {kind: 'added', file: one};
		if (isDirectory(one)) {
			yield * below(one, depth + 1);
		}
	}
}

/** File systems whose files the kernel makes up: proc, sysfs, both cgroup versions, devpts, securityfs, debugfs, tracefs, bpf, mqueue. */
const madeUp: ReadonlySet<number> = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x73636673, 0x64626720, 0x74726163, 0xcafe4a11, 0x19800202]);
