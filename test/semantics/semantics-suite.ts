import test, {type ExecutionContext} from 'ava';
import type {Program} from '../helpers/daemon.ts';
import type {Release} from '../helpers/releases.ts';
import {contentSemantics} from './content-semantics.ts';
import {copySemantics} from './copy-semantics.ts';
import {diffSemantics} from './diff-semantics.ts';
import {monitorSemantics} from './monitor-semantics.ts';
import {recordSemantics} from './record-semantics.ts';
import {restartSemantics} from './restart-semantics.ts';
import {SemanticsRoom} from './semantics-room.ts';
import {snapshotSemantics} from './snapshot-semantics.ts';
import {taskSemantics} from './task-semantics.ts';
import {transferSemantics} from './transfer-semantics.ts';
import {trapSemantics} from './trap-semantics.ts';

/** Declares one fact, by name; it holds for keelson and for each release of containerd from `since` on. */
export type Fact = (title: string, tell: (t: ExecutionContext, room: SemanticsRoom) => Promise<void>, options?: {readonly since?: Release | 'keelson'}) => void;

/** Declares all that clients rely on of one daemon; docs/semantics.md names these tests. */
export function semanticsSuite(program: Program, release?: Release): void {
	let room: SemanticsRoom | undefined;
	test.before(async () => {
		room = await SemanticsRoom.open(program);
	});
	test.after.always(async () => {
		await room?.[Symbol.asyncDispose]();
	});

	const fact: Fact = (title, tell, {since} = {}) => {
		// What a release does not serve yet is no fact of it.
		if (release !== undefined && since !== undefined && (since === 'keelson' || release < since)) {
			return;
		}
		test.serial(title, async t => {
			t.timeout(60_000);
			if (room === undefined) {
				throw new Error('the daemon did not start');
			}
			await tell(t, room);
		});
	};

	recordSemantics(fact);
	contentSemantics(fact);
	snapshotSemantics(fact);
	taskSemantics(fact);
	trapSemantics(fact);
	transferSemantics(fact);
	copySemantics(fact);
	diffSemantics(fact);
	monitorSemantics(fact);
	// Last: it stops and kills the daemon.
	restartSemantics(fact);
}
