import test from 'ava';
import {resolveUser} from '../../client/spec/user.ts';

const accounts = async () => ({
	passwd: 'root:x:0:0::/:\nkeel:x:1000:100::/:\nhuge:x:4294967296:0::/:\n42:x:7:7::/:\nbroken\nnegative:x:-1:0::/:\n',
	group: 'root:x:0:\nusers:x:100:\nwheel:x:10:keel,root\nbad:x:x:keel\n',
});
const nobodyAsks = async (): Promise<never> => {
	throw new Error('the accounts were asked for');
};

test('numbers for user and group need no accounts', async t => {
	t.deepEqual(await resolveUser('5:6', nobodyAsks), {uid: 5, gid: 6, additionalGids: [6]});
	t.deepEqual(await resolveUser('', nobodyAsks), {uid: 0, gid: 0, additionalGids: [0]});
});

test('a name has its group first, then those that it is in', async t => {
	t.deepEqual(await resolveUser('keel', accounts), {uid: 1000, gid: 100, additionalGids: [100, 10]});
	t.deepEqual(await resolveUser('1000', accounts), {uid: 1000, gid: 100, additionalGids: [100, 10]});
	t.deepEqual(await resolveUser('keel:wheel', accounts), {uid: 1000, gid: 10, additionalGids: [10]});
	t.deepEqual(await resolveUser('keel:3', accounts), {uid: 1000, gid: 3, additionalGids: [3]});
});

test('CVE-2026-46680: a number is never a name, and one that no account has is itself', async t => {
	t.deepEqual(await resolveUser('42', accounts), {uid: 42, gid: 0, additionalGids: [0]});
});

test('what is out of range, unknown or malformed is refused', async t => {
	for (const text of ['2147483648', '4294967296', '-1', '+5', '99999999999999999999999', '0:2147483648', 'keel:-1', 'huge', 'negative', 'nobody', 'keel:nogroup', ':0', 'keel:', 'a:b:c']) {
		await t.throwsAsync(resolveUser(text, accounts), {code: 'INVALID_ARGUMENT'}, text);
	}
});
