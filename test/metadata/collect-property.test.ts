import assert from 'node:assert/strict';
import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import * as fc from 'fast-check';
import {isKeelsonError} from '../../kernel/errors.ts';
import {change, makeChange, withChange} from './collect-change.ts';
import {build, expected, expectedOf, found, worlds, type Things} from './collect-world.ts';
import {sqliteInMemory, type House} from './sqlite-in-memory.ts';

// Assertions within a property throw, so that it is fast-check that says what failed: the smallest world, and the seed that finds it again.

async function bareCounts({content, snapshotter}: House): Promise<{readonly blobs: number; readonly snapshots: number}> {
	return {blobs: (await Array.fromAsync(content.list())).length, snapshots: (await Array.fromAsync(snapshotter.list())).length};
}

function countsOf({blobs, snapshots}: Things): {readonly blobs: number; readonly snapshots: number} {
	return {blobs: blobs.length, snapshots: snapshots.length};
}

test('what is reachable stays and everything else goes, rows and bytes alike', async t => {
	await t.notThrowsAsync(fc.assert(fc.asyncProperty(worlds, async world => {
		await using house = sqliteInMemory();
		await build(house.scope({namespace: 'n'}), world);
		await house.collect();
		const kept = expected(world);
		assert.deepEqual(found(house.database), kept);
		assert.deepEqual(await bareCounts(house), countsOf(kept));
		const {removedContent, removedSnapshots} = await house.collect();
		assert.deepEqual([removedContent, removedSnapshots], [0, 0]);
	}), {numRuns: 200}));
});

test('what is there when it becomes reachable stays, although a collection runs', async t => {
	await t.notThrowsAsync(fc.assert(fc.asyncProperty(worlds, change, fc.nat({max: 60}), async (world, late, turns) => {
		await using house = sqliteInMemory({turnMs: 0});
		const scope = house.scope({namespace: 'n'});
		await build(scope, world);
		const collecting = house.collect();
		for (let turn = 0; turn < turns; turn++) {
			await nextTurn();
		}
		// What is there is read in the turn of the change: what went before, the change comes too late for.
		const there = found(house.database);
		let changed = withChange(world, late);
		try {
			await makeChange(scope, world, late);
		} catch (error) {
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
			changed = world;
		}
		await collecting;
		const kept = expectedOf(there, changed);
		const after = found(house.database);
		assert.deepEqual(kept.blobs.filter(index => !after.blobs.includes(index)), [], 'blobs that are reachable and gone');
		assert.deepEqual(kept.snapshots.filter(index => !after.snapshots.includes(index)), [], 'snapshots that are reachable and gone');
		await house.collect();
		const settled = found(house.database);
		assert.deepEqual(settled, expectedOf(after, changed));
		assert.deepEqual(await bareCounts(house), countsOf(settled));
	}), {numRuns: 300}));
});
