import {KeelsonError} from '../../kernel/errors.ts';
import {parseGroups, parseUsers, type Group} from './accounts.ts';
import type {SpecUser} from './spec.ts';

/** The texts of an image's account files; empty where it has none. */
export interface Accounts {
	readonly passwd: string;
	readonly group: string;
}

const ID_MAX = 2 ** 31 - 1;

/**
 * What `user`, `uid`, `user:group` or `uid:gid` stands for; empty is root. The accounts are asked for only where numbers do not say all.
 * Rejects with INVALID_ARGUMENT for a number below 0 or above 2^31-1, which never counts as a name (CVE-2024-40635, CVE-2026-46680), and
 * for a name that the image does not have.
 */
export async function resolveUser(text: string, accounts: () => Promise<Accounts>): Promise<SpecUser> {
	if (text === '') {
		return {uid: 0, gid: 0, additionalGids: [0]};
	}
	const [userText = '', groupText, ...rest] = text.split(':');
	if (userText === '' || groupText === '' || rest.length > 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `user ${JSON.stringify(text.slice(0, 200))}: expected user, uid, user:group or uid:gid`);
	}
	const [uid, gid] = [numberOf(userText), groupText === undefined ? undefined : numberOf(groupText)];
	if (uid !== undefined && gid !== undefined) {
		return {uid, gid, additionalGids: [gid]};
	}
	const {passwd, group} = await accounts();
	const users = parseUsers(passwd);
	const user = users.find(({name, uid: each}) => uid === undefined ? name === userText : each === uid);
	if (user === undefined && uid === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `the image has no user ${JSON.stringify(userText.slice(0, 200))}`);
	}
	const groups = parseGroups(group);
	const primary = groupText === undefined ? user?.gid ?? 0 : gid ?? groupNamed(groups, groupText);
	// A group that is named replaces all others.
	const others = groupText === undefined && user !== undefined ? groups.filter(({members}) => members.includes(user.name)).map(({gid: each}) => each) : [];
	return {uid: uid ?? user?.uid ?? 0, gid: primary, additionalGids: [...new Set([primary, ...others])]};
}

/** Undefined for a name. */
function numberOf(text: string): number | undefined {
	if (!/^[+-]?[0-9]+$/.test(text)) {
		return undefined;
	}
	const value = Number(text);
	if (!/^[0-9]+$/.test(text) || value > ID_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `user or group ${text.slice(0, 40)} is not between 0 and ${ID_MAX}`);
	}
	return value;
}

function groupNamed(groups: readonly Group[], name: string): number {
	const found = groups.find(group => group.name === name);
	if (found === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `the image has no group ${JSON.stringify(name.slice(0, 200))}`);
	}
	return found.gid;
}
