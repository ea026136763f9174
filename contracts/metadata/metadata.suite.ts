import type {TestFn} from 'ava';
import {collectSuite} from './metadata-collect.suite.ts';
import {recordsSuite} from './metadata-records.suite.ts';
import {scopesSuite} from './metadata-scopes.suite.ts';
import type {Metadata} from './metadata.ts';

export interface MetadataSubject {
	readonly name: string;
	/** A fresh, empty one over stores of its own, with at least one snapshotter; disposed when the test ends. It collects only when it is asked to. */
	create(): Promise<Metadata & AsyncDisposable>;
	/** The only way to leave tests out: what the implementation says in public that it cannot do. */
	readonly supports: {
		/** Sandbox records. */
		readonly sandboxes: boolean;
	};
}

/** Every implementation passes this, in this process or behind a socket. What scopes owe to content and snapshots is in those contracts' suites. */
export function metadataSuite(test: TestFn, subject: MetadataSubject): void {
	recordsSuite(test, subject);
	scopesSuite(test, subject);
	collectSuite(test, subject);
}
