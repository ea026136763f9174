import test from 'ava';
import type {Program} from '../helpers/daemon.ts';
import type {DockerRelease} from '../helpers/releases.ts';
import {buildStories} from './build-stories.ts';
import {classicStories} from './classic-stories.ts';
import {containerStories} from './container-stories.ts';
import {DockerRoom, type Story} from './docker-room.ts';
import {imageStories} from './image-stories.ts';
import {processStories} from './process-stories.ts';

/** Declares what Docker does on a daemon, with the networks `none` and `host`: a bridge and its iptables would change the machine's own. */
export function dockerSuite({program, release}: {readonly program: Program; readonly release: DockerRelease}): void {
	let room: DockerRoom;
	test.before(async t => {
		t.timeout(120_000);
		room = await DockerRoom.open(program, release);
	});
	test.after.always(async t => {
		t.timeout(60_000);
		await room?.close();
	});
	const story: Story = (title, body) => {
		test.serial(title, async t => {
			t.timeout(120_000);
			try {
				await body(t, room);
			} catch (error) {
				t.log((await room.docker.log()).slice(-3000));
				throw error;
			} finally {
				await removeContainers(room);
			}
		});
	};

	processStories(story);
	containerStories(story);
	imageStories(story);
	buildStories(story);
	classicStories(story);
}

/** Removes what a story that failed has left, so that the next one starts clean. */
async function removeContainers({docker}: DockerRoom): Promise<void> {
	const ids = await docker.lines('ps', '-aq');
	if (ids.length > 0) {
		await docker.run('rm', '-f', '-v', ...ids);
	}
}
