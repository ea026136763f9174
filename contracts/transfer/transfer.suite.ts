import type {TestFn} from 'ava';
import {archiveStories} from './transfer-archive.suite.ts';
import {badStories} from './transfer-bad.suite.ts';
import {pullStories} from './transfer-pull.suite.ts';
import {storiesOf, type TransferSubject} from './transfer-story.suite.ts';

export type {TransferHouse, TransferSubject} from './transfer-story.suite.ts';

/** What every transfer passes: with a fetch, a content store, snapshots and a differ that are real, against registries on loopback that lie. */
export function transferSuite(test: TestFn, subject: TransferSubject): void {
	const story = storiesOf(test, subject);
	pullStories(story);
	badStories(story);
	archiveStories(story);
}
