import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {resolveInRoot} from '../../client/spec/resolve-in-root.ts';

test('CVE-2022-23648: links are followed as inside the root, and none leads outside', async t => {
	const root = await mkdtemp(join(tmpdir(), 'keelson-root-'));
	try {
		await mkdir(join(root, 'etc'));
		await mkdir(join(root, 'usr/lib'), {recursive: true});
		await writeFile(join(root, 'etc/real'), '');
		await symlink('/etc/real', join(root, 'etc/absolute'));
		await symlink('../../../../etc/real', join(root, 'etc/upwards'));
		await symlink('/usr/lib', join(root, 'linked'));
		await symlink('../../etc', join(root, 'usr/lib/back'));
		await symlink('round', join(root, 'round'));
		await symlink('/no/such', join(root, 'dangling'));
		const real = join(root, 'etc/real');
		for (const path of ['etc/real', '/etc/real', 'etc/absolute', 'etc/upwards', '../../etc/real', 'linked/back/real', './etc/../etc/absolute']) {
			t.is(await resolveInRoot(root, path), real, path);
		}
		for (const path of ['etc/nothing', 'dangling', 'etc/real/below', 'linked/nothing']) {
			t.is(await resolveInRoot(root, path), undefined, path);
		}
		await t.throwsAsync(resolveInRoot(root, 'round'), {code: 'INVALID_ARGUMENT'});
	} finally {
		await rm(root, {recursive: true, force: true});
	}
});
