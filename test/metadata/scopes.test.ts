import test from 'ava';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import {snapshotSuite} from '../../contracts/snapshot/snapshot.suite.ts';
import {sqliteInMemory} from './sqlite-in-memory.ts';

contentSuite(test, {
	name: 'content of a namespace',
	supports: {labels: true},
	create: async () => {
		const house = sqliteInMemory();
		return Object.assign(house.scope({namespace: 'one'}).content, {[Symbol.asyncDispose]: async () => house[Symbol.asyncDispose]()});
	},
});

contentSuite(test, {
	name: 'content of a namespace that may not share',
	supports: {labels: true},
	create: async () => {
		const house = sqliteInMemory({sharing: 'isolated'});
		return Object.assign(house.scope({namespace: 'one'}).content, {[Symbol.asyncDispose]: async () => house[Symbol.asyncDispose]()});
	},
});

snapshotSuite(test, {
	name: 'snapshots of a namespace',
	supports: {mountable: false, rebase: true},
	create: async () => {
		const house = sqliteInMemory();
		return Object.assign(house.scope({namespace: 'one'}).snapshotter('memory'), {[Symbol.asyncDispose]: async () => house[Symbol.asyncDispose]()});
	},
});
