import test from 'ava';
import {mountManagerSuite} from '../../contracts/mount-manager/mount-manager.suite.ts';
import {MemoryMountManager} from '../helpers/memory-mounts.ts';
import {LocalMountStage} from './mount-stage.ts';

mountManagerSuite(test, {
	name: 'in memory',
	async open() {
		const manager = new MemoryMountManager();
		let count = 0;
		return {
			manager,
			mount: async () => ({type: 'bind', source: `/source/${count++}`, target: '', options: []}),
			broken: {type: 'broken', source: '', target: '', options: []},
			image: async () => `/image/${count++}`,
			lease: async id => {
				manager.leases.add(id);
			},
			use(mountPoint) {
				manager.used.add(mountPoint);
				return {[Symbol.dispose]: () => manager.used.delete(mountPoint)};
			},
			reopen: async () => manager,
			leftovers: async () => manager.points(),
			async [Symbol.asyncDispose]() {},
		};
	},
});

mountManagerSuite(test, {name: 'on this machine', open: async () => LocalMountStage.open()});
