/** A line of passwd(5), as far as it says who a process runs as. */
export interface User {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
}

/** A line of group(5). */
export interface Group {
	readonly name: string;
	readonly gid: number;
	readonly members: readonly string[];
}

const ID_MAX = 2 ** 31 - 1;

/** Lines that make no sense are left out: the image wrote them, and others may still be right. */
export function parseUsers(text: string): User[] {
	return text.split('\n').flatMap(line => {
		const [name = '', , uid = '', gid = ''] = line.split(':');
		return isId(uid) && isId(gid) && name !== '' ? [{name, uid: Number(uid), gid: Number(gid)}] : [];
	});
}

export function parseGroups(text: string): Group[] {
	return text.split('\n').flatMap(line => {
		const [name = '', , gid = '', members = ''] = line.split(':');
		return isId(gid) && name !== '' ? [{name, gid: Number(gid), members: members.split(',').filter(member => member !== '')}] : [];
	});
}

function isId(text: string): boolean {
	return /^[0-9]+$/.test(text) && Number(text) <= ID_MAX;
}
