import type {Readable} from 'node:stream';
import {getHeapSnapshot, getHeapStatistics} from 'node:v8';
import {KeelsonError} from '../../kernel/errors.ts';
import type {HttpAnswer, HttpRoute} from '../../lib/listen/http-listener.ts';
import {activity} from './activity.ts';
import {cpuProfile} from './cpu-profile.ts';

/** As pprof has it where nobody says how long. */
const PROFILE_SECONDS = 30;
const PROFILE_SECONDS_MAX = 60;
const TEXT = 'text/plain; charset=utf-8';

const INDEX = `/debug/pprof/goroutine   what the daemon waits for: handles, threads, descriptors
/debug/pprof/profile     a CPU profile of the main thread (V8's .cpuprofile); ?seconds=${PROFILE_SECONDS}, at most ${PROFILE_SECONDS_MAX}
/debug/pprof/heap        a heap snapshot (V8's .heapsnapshot); the daemon stands still while it is taken
/debug/pprof/cmdline     the daemon's command line, words ended by NUL
/debug/vars              memory, heap and event loop, as JSON
`;

/** What can be looked at, at the paths at which containerd has the like. One profile and one snapshot at a time: another is UNAVAILABLE. */
export function debugRoutes(): Readonly<Record<string, HttpRoute>> {
	const profiling = new Turn('a CPU profile');
	const snapping = new Turn('a heap snapshot');
	const index = (): HttpAnswer => ({type: TEXT, body: INDEX});
	return {
		'/debug/pprof': index,
		'/debug/pprof/': index,
		'/debug/pprof/goroutine': async () => ({type: TEXT, body: await activity()}),
		'/debug/pprof/cmdline': () => ({type: TEXT, body: process.argv.map(word => `${word}\0`).join('')}),
		'/debug/pprof/profile': async ({query, signal}) => {
			const seconds = secondsOf(query.get('seconds'));
			using _ = profiling.take();
			return {type: 'application/json', body: await cpuProfile(seconds, signal), headers: attached('keelsond.cpuprofile')};
		},
		'/debug/pprof/heap': () => ({type: 'application/json', body: snapshot(snapping.take()), headers: attached('keelsond.heapsnapshot')}),
		'/debug/vars': () => ({type: 'application/json; charset=utf-8', body: `${JSON.stringify(facts())}\n`}),
	};
}

// Written as fast as it is read: whole, it would be as large as the heap again.
function snapshot(turn: Disposable): Readable {
	const stream = getHeapSnapshot();
	stream.once('close', () => turn[Symbol.dispose]());
	return stream;
}

function secondsOf(text: string | null): number {
	const seconds = text === null ? PROFILE_SECONDS : Number(text);
	if (!(seconds > 0 && seconds <= PROFILE_SECONDS_MAX)) {
		throw new KeelsonError('INVALID_ARGUMENT', `seconds is ${JSON.stringify(text)}, it must be above 0 and at most ${PROFILE_SECONDS_MAX}`);
	}
	return seconds;
}

function attached(name: string): Readonly<Record<string, string>> {
	return {'content-disposition': `attachment; filename="${name}"`};
}

function facts(): object {
	return {
		cmdline: process.argv, pid: process.pid, uptime_seconds: process.uptime(), node: process.version,
		memory: process.memoryUsage(), heap: getHeapStatistics(), resources: process.resourceUsage(), event_loop: performance.eventLoopUtilization(),
	};
}

/** Lets one in at a time. */
class Turn {
	readonly #what: string;
	#isTaken = false;

	constructor(what: string) {
		this.#what = what;
	}

	take(): Disposable {
		if (this.#isTaken) {
			throw new KeelsonError('UNAVAILABLE', `${this.#what} is being taken already`);
		}
		this.#isTaken = true;
		return {[Symbol.dispose]: () => {
			this.#isTaken = false;
		}};
	}
}
