import {Session} from 'node:inspector/promises';
import {setTimeout as delay} from 'node:timers/promises';

/** What V8 saw of the main thread for `seconds`, as a .cpuprofile, which Chrome's and VS Code's tools open. Rejects with the signal's reason. */
export async function cpuProfile(seconds: number, signal: AbortSignal): Promise<string> {
	const session = new Session();
	session.connect();
	try {
		await session.post('Profiler.enable');
		await session.post('Profiler.start');
		await delay(seconds * 1000, undefined, {signal});
		const {profile} = await session.post('Profiler.stop');
		return JSON.stringify(profile);
	} finally {
		// Ends a profile that was not taken, too.
		session.disconnect();
	}
}
