import {stat} from 'node:fs/promises';
import type {ExecutionContext, TestFn} from 'ava';
import type {NetworkNamespaces} from './network.ts';

export interface NamespacesSubject {
	readonly name: string;
	/** Opens what keeps its pins in `directory`; a second time, as a daemon does that starts again. */
	open(directory: string): Promise<NetworkNamespaces>;
	/** A directory for one test, and what unpins all that is left in it. */
	directory(): Promise<AsyncDisposable & {readonly path: string}>;
	/** Whether the pins are the kernel's, so that their paths can be looked at. */
	readonly isReal: boolean;
}

/** Every keeper of network namespaces passes this. */
export function networkNamespacesSuite(test: TestFn, {name, open, directory, isReal}: NamespacesSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, namespaces: NetworkNamespaces, reopen: () => Promise<NetworkNamespaces>) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using place = await directory();
			await tell(t, await open(place.path), async () => open(place.path));
		});
	};

	story('a namespace is pinned, listed, and removed', async (t, namespaces) => {
		const pinned = await namespaces.create('n', 'c');
		t.like(pinned, {namespace: 'n', containerId: 'c'});
		t.regex(pinned.path, /\/n-c$/);
		t.deepEqual(await namespaces.list(), [pinned]);
		if (isReal) {
			t.not((await stat(pinned.path)).ino, (await stat('/proc/self/ns/net')).ino);
		}
		await namespaces.remove('n', 'c');
		await namespaces.remove('n', 'c');
		t.deepEqual(await namespaces.list(), []);
	});

	story('a second of that name is refused, and the first stays', async (t, namespaces) => {
		const pinned = await namespaces.create('n', 'c');
		await t.throwsAsync(namespaces.create('n', 'c'), {code: 'ALREADY_EXISTS'});
		t.deepEqual(await namespaces.list(), [pinned]);
	});

	story('two whose names join to the same do not meet', async (t, namespaces) => {
		const pinned = await namespaces.create('a', 'b-c');
		await t.throwsAsync(namespaces.create('a-b', 'c'), {code: 'ALREADY_EXISTS'});
		await namespaces.remove('a-b', 'c');
		t.deepEqual(await namespaces.list(), [pinned]);
	});

	story('apple/container: names that are no identifiers are refused', async (t, namespaces) => {
		await t.throwsAsync(namespaces.create('..', 'c'), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(namespaces.create('n', '../../etc'), {code: 'INVALID_ARGUMENT'});
	});

	story('an aborted create leaves nothing', async (t, namespaces) => {
		await t.throwsAsync(namespaces.create('n', 'c', AbortSignal.abort()));
		t.deepEqual(await namespaces.list(), []);
	});

	story('pins outlive who made them', async (t, namespaces, reopen) => {
		const pinned = await namespaces.create('n', 'c');
		const next = await reopen();
		t.deepEqual(await next.list(), [pinned]);
		await next.remove('n', 'c');
		t.deepEqual(await next.list(), []);
	});
}
