import test from 'ava';
import {humanAge, humanBytes} from '../../client/command/human.ts';
import {jsonText} from '../../client/command/json-text.ts';
import {parse} from '../../client/command/parse.ts';
import {layerLine} from '../../client/command/pull-progress.ts';
import {alignedTable, plainTable} from '../../client/command/table.ts';

test('columns are as wide as their widest cell', t => {
	t.is(alignedTable(['A', 'LONGER'], [['wide cell', 'x'], ['b', 'y']]), 'A          LONGER\nwide cell  x\nb          y\n');
});

test('a cell can neither break a line nor move the cursor', t => {
	t.is(plainTable([['a\nb', '\u001B[31mred\u001B[0m', 'tab\tbell\u0007']]), 'a?b\tred\ttab?bell?\n');
});

test('bytes and ages are said in words', t => {
	t.deepEqual([0, 999, 1000, 12_345, 273_000_000, 5e12].map(humanBytes), ['0 B', '999 B', '1.0 kB', '12.3 kB', '273 MB', '5.0 TB']);
	t.deepEqual([5, 60, 7200, 200_000].map(seconds => humanAge(new Date(0), seconds * 1000)), ['5 s ago', '1 minute ago', '2 hours ago', '2 days ago']);
	t.is(humanAge(undefined), '-');
});

test('a layer\'s line has a bar while bytes come', t => {
	const part = {name: 'layer-sha256:0123456789abcdef', digest: 'sha256:0123456789abcdef', parents: [], event: 'downloading', progress: 500_000, total: 1_000_000};
	t.is(layerLine(part), 'sha256:0123456789ab  downloading     [============>           ]  500 kB / 1.0 MB');
	t.is(layerLine({...part, event: 'complete'}), 'sha256:0123456789ab  complete        1.0 MB');
	t.is(layerLine({...part, event: 'waiting', total: 0}), 'sha256:0123456789ab  waiting');
});

test('JSON has times, large numbers and bytes as programs read them', t => {
	t.is(jsonText({at: {seconds: 1n, nanos: 500_000_000}, size: 5n, huge: 2n ** 60n, bytes: new Uint8Array([1, 2]), none: undefined}), '{"at":"1970-01-01T00:00:01.500Z","size":5,"huge":"1152921504606846976","bytes":"AQI="}');
});

test('what follows the image is the program\'s, dashes and all', t => {
	const options = {rm: {type: 'boolean'}, env: {type: 'string', multiple: true}} as const;
	t.deepEqual(parse(['--env', 'A=b', '--rm', 'image', 'ls', '--rm', '--', '-x'], options, 1).positionals, ['image', 'ls', '--rm', '--', '-x']);
	t.deepEqual(parse(['--rm', '--', 'image', '--rm'], options, 1).positionals, ['image', '--rm']);
	t.throws(() => parse(['--frob', 'image'], options, 1), {name: 'UsageError'});
});
