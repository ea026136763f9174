import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {renderTemplate} from '../../lib/hook-template/template.ts';
import {command, type Outcome} from '../helpers/command.ts';
import {keelsondPath} from '../helpers/keelson-program.ts';
import {programsOf} from '../helpers/releases.ts';

let bundle: string;
test.before(async () => {
	bundle = await mkdtemp(path.join(tmpdir(), 'keelson-hook-'));
	await writeFile(path.join(bundle, 'config.json'), JSON.stringify({ociVersion: '1.0.2', root: {path: 'rootfs'}}));
	await writeFile(path.join(bundle, 'say'), '#!/bin/sh\nfor word; do echo "[$word]"; done\necho "$SAID"\ngrep -E "^Sig(Ign|Blk)" /proc/self/status\ncat\nexit 9\n');
	await chmod(path.join(bundle, 'say'), 0o755);
});
test.after.always(async () => rm(bundle, {recursive: true, force: true}));

/** By our daemon's binary, and by containerd's: each reads the same state. */
async function hooks(...words: readonly string[]): Promise<readonly Outcome[]> {
	const state = {ociVersion: '1.0.2', id: 'box', status: 'created', pid: 42, bundle, annotations: {'a key': 'a value'}};
	return Promise.all([keelsondPath, ...(['1.6', '1.7', '2.1'] as const).map(release => path.join(programsOf(release), 'containerd'))]
		.map(async program => command(program, ['oci-hook', ...words], {input: JSON.stringify(state), env: {SAID: 'pid {{pid}}'}})));
}

test('oci-hook fills in what the state says, and becomes the program, as containerd\'s does', async t => {
	const [ours, ...theirs] = await hooks('--', path.join(bundle, 'say'), '{{id}}', '{{ rootfs }}/etc', '{{bundle}}', '{{status}}', '{{annotation "a key"}}', '{{annotation "none"}}',
		'x {{- "a key" | annotation -}} y', '{{annotation (`a key`)}}', '{{/* unsaid */}}', '--flag', 'plain');
	t.is(ours?.code, 9);
	t.regex(ours?.stdout ?? '', new RegExp(`^\\[box\\]\\n\\[${bundle}/rootfs/etc\\]\\n\\[${bundle}\\]\\n\\[created\\]\\n\\[a value\\]\\n\\[\\]\\n\\[xa valuey\\]\\n\\[a value\\]\\n\\[\\]\\n\\[--flag\\]\\n\\[plain\\]\\npid 42\\n`));
	for (const {code, stdout} of theirs) {
		t.deepEqual({code, stdout}, {code: ours?.code, stdout: ours?.stdout ?? ''});
	}
});

test('oci-hook ends with 1 where the template, the state or the program makes no sense, as containerd\'s does', async t => {
	for (const words of [[path.join(bundle, 'say'), '{{nosuch}}'], [path.join(bundle, 'say'), '{{id'], [path.join(bundle, 'say'), '{{annotation}}'], ['/no/such/program']]) {
		for (const {code, stdout} of await hooks(...words)) {
			t.deepEqual({code, stdout}, {code: 1, stdout: ''}, words.join(' '));
		}
	}
	const {code, stderr} = await command(keelsondPath, ['oci-hook', path.join(bundle, 'say')], {input: 'no state'});
	t.deepEqual({code, stderr}, {code: 1, stderr: 'keelsond: the state on standard input is no JSON\n'});
});

test('what a template of ours does not know is refused with its action', t => {
	const functions = {id: () => 'x', of: (key?: string) => `<${key}>`};
	t.is(renderTemplate('a {{`}}`|of}} {{"\\"q\\""|of}}', {id: () => '', of: (key: string) => `<${key}>`}), 'a <}}> <"q">');
	for (const action of ['{{if id}}x{{end}}', '{{.State}}', '{{"x" "y"}}', '{{id "x"}}', '{{id |}}', '{{(id}}', '{{$x := id}}', '{{}}']) {
		t.throws(() => renderTemplate(`before ${action}`, functions), {code: 'INVALID_ARGUMENT', message: /^template action "/}, action);
	}
});
