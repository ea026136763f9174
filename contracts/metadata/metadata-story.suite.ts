import {createHash} from 'node:crypto';
import type {ExecutionContext, TestFn} from 'ava';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Digest} from '../oci/digest.ts';
import type {Labels} from '../oci/labels.ts';
import type {ContainerRecord, Metadata, Scope} from './metadata.ts';
import type {MetadataSubject} from './metadata.suite.ts';

export type Story = (title: string, tell: (t: ExecutionContext, metadata: Metadata) => Promise<void>) => void;

export function storiesOf(test: TestFn, {name, create}: MetadataSubject): Story {
	return (title, tell) => {
		test(`${name}: ${title}`, async t => {
			await using metadata = await create();
			await tell(t, metadata);
		});
	};
}

export function digestOf(text: string): Digest {
	return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

export function descriptorOf(text: string): Descriptor {
	return {mediaType: 'text/plain', digest: digestOf(text), size: Math.max(text.length, 1)};
}

export async function put({content}: Scope, text: string, labels: Labels = {}): Promise<Digest> {
	await using writer = await content.writer({ref: `put-${text}`});
	await writer.write(Buffer.from(text));
	// Awaited here: the writer is disposed when this returns.
	return await writer.commit({labels});
}

export async function hasContent({content}: Scope, digest: Digest): Promise<boolean> {
	return content.info(digest).then(() => true, () => false);
}

export function containerOf(id: string, changes: Partial<ContainerRecord> = {}): ContainerRecord {
	return {
		id, labels: {}, image: '', runtime: {name: 'io.containerd.runc.v2'}, spec: {typeUrl: 'spec', value: Buffer.from('{}')},
		snapshotter: '', snapshotKey: '', extensions: {}, sandbox: '', ...changes,
	};
}

/** The first snapshotter, through a scope. */
export function snapshotterOf(metadata: Metadata, scope: Scope): {readonly name: string; readonly snapshots: ReturnType<Scope['snapshotter']>} {
	const [name = ''] = metadata.snapshotters;
	return {name, snapshots: scope.snapshotter(name)};
}
