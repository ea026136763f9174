import {glob} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import * as testing from '../../contracts/testing.ts';

test('keelson/testing has the suite of every contract that has one', async t => {
	const files = await Array.fromAsync(glob('*/*.suite.ts', {cwd: path.join(import.meta.dirname, '../../contracts')}));
	// Parts of a suite lie beside it, under longer names.
	const contracts = files.map(file => path.parse(file)).filter(({dir, base}) => base === `${dir}.suite.ts`).map(({dir}) => dir);
	// Two contracts share the folder of networks.
	t.deepEqual(Object.keys(testing).toSorted(), [...contracts, 'network-namespaces'].map(name => `${name.replaceAll(/-(?<letter>.)/gv, (_, letter: string) => letter.toUpperCase())}Suite`).toSorted());
});
