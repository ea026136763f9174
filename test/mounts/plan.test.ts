import test from 'ava';
import type {Mount} from '../../contracts/oci/mount.ts';
import {parseByteSize} from '../../plugins/mount-local/byte-size.ts';
import {confine} from '../../plugins/mount-local/confined-path.ts';
import {parseDirectory} from '../../plugins/mount-local/mkdir.ts';
import {parseFileSystem} from '../../plugins/mount-local/mkfs.ts';
import {planActivation} from '../../plugins/mount-local/plan.ts';

const mountOf = (type: string): Mount => ({type, source: '', target: '', options: []});

function shapeOf(types: readonly string[], isTemporary = false): unknown {
	const plan = planActivation(types.map(type => mountOf(type)), {isTemporary, hasHandler: type => type === 'loop'});
	return plan === undefined ? undefined : [plan.performed, plan.system].map(part => part.map(({mount, transformers}) => [...transformers, mount.type].join('+')));
}

test('all before the last mount with a transformer are performed, and up to the last loop', t => {
	t.is(shapeOf(['bind', 'overlay']), undefined);
	t.deepEqual(shapeOf(['bind', 'format/overlay']), [['bind'], ['format+overlay']]);
	t.deepEqual(shapeOf(['bind', 'format/overlay', 'tmpfs']), [['bind'], ['format+overlay', 'tmpfs']]);
	t.deepEqual(shapeOf(['bind', 'loop', 'ext4']), [['bind', 'loop'], ['ext4']]);
	t.deepEqual(shapeOf(['mkfs/loop', 'format/ext4', 'format/mkdir/overlay']), [['mkfs+loop', 'format+ext4'], ['format+mkdir+overlay']]);
	t.deepEqual(shapeOf(['mkfs/ext4']), [[], ['mkfs+ext4']]);
	t.deepEqual(shapeOf(['bind', 'tmpfs'], true), [['bind', 'tmpfs'], []]);
});

test('templates are filled in first, and a word that is no transformer stays in the type', t => {
	t.deepEqual(shapeOf(['mkdir/mkfs/format/overlay']), [[], ['format+mkfs+mkdir+overlay']]);
	t.deepEqual(shapeOf(['format/fuse/format/x']), [[], ['format+fuse/format/x']]);
	t.is(shapeOf(['formatted/overlay']), undefined);
	t.is(shapeOf(['toString/x', '/x', '']), undefined);
});

test('sizes are numbers with units of 1024', t => {
	t.deepEqual(['512', '100MiB', '1g', '1.5k', '64 kB', '2TB', '7b'].map(text => parseByteSize(text)), [512, 100 << 20, 1 << 30, 1536, 65_536, 2 ** 41, 7]);
	for (const text of ['', 'MiB', '-1', '1e9', '0x10', '1 GiB ', '9999999P', 'Infinity', '1.5.5']) {
		t.throws(() => parseByteSize(text), {code: 'INVALID_ARGUMENT'}, text);
	}
});

test('options of mkdir and mkfs are what they must be', t => {
	const mkdir = (text: string) => parseDirectory(`X-containerd.mkdir.${text}`);
	t.deepEqual(mkdir('path=/a/b'), {path: '/a/b', mode: 0o700, owner: undefined});
	t.deepEqual(mkdir('path=/a:0755:1000:1001'), {path: '/a', mode: 0o755, owner: {uid: 1000, gid: 1001}});
	for (const text of ['path=', 'path=/a:', 'path=/a:9', 'path=/a:7777', 'path=/a:755:1', 'path=/a:755:-1:0', 'path=/a:755:4294967295:0', 'path=/a:755:1:2:3', 'mode=1', '']) {
		t.throws(() => mkdir(text), {code: 'INVALID_ARGUMENT'}, text);
	}
	const mkfs = (...options: readonly string[]) => parseFileSystem(['ro', ...options.map(option => `X-containerd.mkfs.${option}`)], 1 << 20);
	const uuid = '550e8400-e29b-41d4-a716-446655440000';
	t.deepEqual(mkfs('size=1MiB'), {type: 'ext4', bytes: 1 << 20, uuid: undefined});
	t.deepEqual(mkfs('size=1k', 'fs=xfs', `uuid=${uuid}`), {type: 'xfs', bytes: 1024, uuid});
	t.throws(() => mkfs('size=1025k'), {code: 'RESOURCE_EXHAUSTED', message: /1049600 bytes, at most 1048576/});
	for (const options of [[], ['size=0'], ['size'], ['size=1k', 'fs=btrfs'], ['size=1k', 'uuid=-F'], ['size=1k', 'other=1']]) {
		t.throws(() => mkfs(...options), {code: 'INVALID_ARGUMENT'}, options.join());
	}
});

test('a path is below the longest root that holds it, or refused', t => {
	const roots = ['/r', '/r/s'];
	t.deepEqual(confine('/r/s/x/y', roots, 'file'), {root: '/r/s', below: 'x/y'});
	t.deepEqual(confine('/r/sx', roots, 'file'), {root: '/r', below: 'sx'});
	for (const path of ['/r', '/r/', '/rx/y', 'r/x', '/r/../etc', '/r/./x', '/r//x', '/r/x/', '/etc/x', '', '{{ mount 0 }}/x']) {
		t.throws(() => confine(path, roots, 'file'), {code: 'INVALID_ARGUMENT'}, path);
	}
});
