import {getPriority} from 'node:os';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {succeed} from '../helpers/command.ts';

const program = [process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(new URL('./start-behind.ts', import.meta.url))] as const;

test('a thread is behind the one that starts it from its first instruction on, which stays what it was', async t => {
	t.deepEqual(await prioritiesOf(...program), {own: getPriority(), behind: 10});
});

test('where a process may not raise what it lowers, it is left one step behind, and the thread starts all the same', async t => {
	t.deepEqual(await prioritiesOf('setpriv', '--bounding-set', '-sys_nice', '--', ...program), {own: getPriority() + 1, behind: getPriority() + 1});
});

async function prioritiesOf(file: string, ...args: readonly string[]): Promise<unknown> {
	return JSON.parse((await succeed(file, args)).stdout);
}
