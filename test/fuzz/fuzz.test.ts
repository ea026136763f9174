import test from 'ava';
import {fuzz, targetNames} from './fuzz.ts';

test('no target breaks over what is kept, and what a short run makes of it', async t => {
	t.timeout(120_000);
	for (const target of targetNames) {
		const {broken, executions} = await fuzz({target, seed: 20_261, milliseconds: 3000, executions: 600});
		t.deepEqual(broken.map(({why, input}) => `${target}: ${why} by ${JSON.stringify(Buffer.from(input).toString('latin1').slice(0, 300))}`), []);
		t.true(executions > 50, `${target} ran ${executions} times`);
	}
});
