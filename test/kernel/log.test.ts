import test from 'ava';
import {KeelsonError} from '../../kernel/errors.ts';
import {LineLogger, type LogLevel} from '../../kernel/log.ts';

function logger(format: 'text' | 'json', level: LogLevel = 'info'): {log: LineLogger; lines: string[]} {
	const lines: string[] = [];
	return {log: new LineLogger({format, level, write: (line) => lines.push(line.replace(/\d{4}-[\d\-T:.]+Z/, 'NOW'))}), lines};
}

test('a line has the form of containerd\'s log', (t) => {
	const {log, lines} = logger('text');
	log.with({id: 'io.x.v1.y', none: undefined}).warn('serving...', {address: '/run/x.sock', text: 'two words', quote: '"', count: 3, empty: ''});
	t.deepEqual(lines, ['time="NOW" level=warning msg=serving... address=/run/x.sock count=3 empty="" id=io.x.v1.y quote="\\"" text="two words"\n']);
});

test('a line of JSON holds what cannot be written as it is', (t) => {
	const {log, lines} = logger('json');
	const circle: Record<string, unknown> = {};
	circle['circle'] = circle;
	log.info('m', {big: 3n, circle, list: [1], error: new KeelsonError('NOT_FOUND', 'gone')});
	t.deepEqual(lines, ['{"big":"3","circle":"[object Object]","error":"gone","list":[1],"time":"NOW","level":"info","msg":"m"}\n']);
});

test('lines below the level are not written', (t) => {
	const {log, lines} = logger('text', 'warn');
	log.trace('a');
	log.debug('b');
	log.info('c');
	log.warn('d');
	log.error('e');
	log.line('fatal', 'f');
	t.is(lines.join('').match(/msg=\w/g)?.join(' '), 'msg=d msg=e msg=f');
});

test('an error is written with its causes, and with its stack where it is a mistake in the program', (t) => {
	const {log, lines} = logger('text');
	const system = Object.assign(new Error('ENOENT: /x'), {code: 'ENOENT'});
	log.error('m', {error: new KeelsonError('INTERNAL', 'cannot open', {cause: system})});
	log.error('m', {error: new Error('oops', {cause: new TypeError('x is undefined')})});
	t.regex(lines[0] ?? '', /error="cannot open: ENOENT: \/x"\n$/);
	t.regex(lines[1] ?? '', /error="oops: x is undefined: TypeError: x is undefined\\n    at /);
});

test('a line break in a message does not make two lines', (t) => {
	const {log, lines} = logger('text');
	log.info('a\nlevel=error msg=forged', {key: 'b\nc'});
	t.deepEqual(lines, ['time="NOW" level=info msg="a\\nlevel=error msg=forged" key="b\\nc"\n']);
});
