import test from 'ava';
import {faultyTargets} from './faulty-targets.ts';
import {fuzz, targetNames} from './fuzz.ts';

test('no target breaks over what is kept, and what a short run makes of it', async t => {
	t.timeout(120_000);
	for (const target of targetNames) {
		const {broken, executions} = await fuzz({target, seed: 20_261, milliseconds: 3000, executions: 600});
		t.deepEqual(broken.map(({why, input}) => `${target}: ${why} by ${JSON.stringify(Buffer.from(input).toString('latin1').slice(0, 300))}`), []);
		t.true(executions > 50, `${target} ran ${executions} times`);
	}
});

const telling: Readonly<Record<string, RegExp>> = {
	'throws': /TypeError: no error of ours/, 'hangs': /takes longer than 5000 ms/, 'fills the heap': /ERR_WORKER_OUT_OF_MEMORY|memory limit/, 'fills buffers': /takes 31\d{7} bytes outside of the heap/,
};

for (const {name} of faultyTargets) {
	test(`a target that ${name} is told, with its input`, async t => {
		t.timeout(120_000);
		// To collect in vain what fills a heap is work.
		const hangMs = name === 'hangs' ? {} : {hangMs: 60_000};
		const {broken} = await fuzz({target: name, seed: 1, milliseconds: 1000, executions: 1, ...hangMs});
		t.regex(broken[0]?.why ?? '', telling[name] ?? /^$/);
		t.is(Buffer.from(broken[0]?.input ?? []).toString(), 'innocent');
	});
}
