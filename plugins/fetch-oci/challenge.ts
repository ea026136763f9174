/** What a registry asks for: one scheme of a `WWW-Authenticate` header. */
export interface Challenge {
	/** Lower case. */
	readonly scheme: string;
	/** Names in lower case; the first of a name counts. */
	readonly parameters: ReadonlyMap<string, string>;
}

/** What is longer is cut. */
export const HEADER_LENGTH_MAX = 16 * 1024;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const SPACE = /[ \t]*/y;

/**
 * Reads every challenge of a header (RFC 9110, section 11.6.1): schemes and their parameters are separated by the same commas. What does not parse ends the list; it never throws.
 */
export function parseChallenges(header: string): readonly Challenge[] {
	const text = header.slice(0, HEADER_LENGTH_MAX);
	const challenges: {scheme: string; parameters: Map<string, string>}[] = [];
	let at = 0;
	const take = (pattern: RegExp): string => {
		pattern.lastIndex = at;
		const [found = ''] = pattern.exec(text) ?? [];
		at += found.length;
		return found;
	};
	while (at < text.length) {
		take(SPACE);
		if (text[at] === ',') {
			at++;
			continue;
		}
		const name = take(TOKEN);
		if (name === '') {
			break;
		}
		take(SPACE);
		if (text[at] !== '=') {
			challenges.push({scheme: name.toLowerCase(), parameters: new Map()});
			continue;
		}
		at++;
		take(SPACE);
		const value = text[at] === '"' ? quoted() : take(TOKEN);
		const parameters = challenges.at(-1)?.parameters;
		if (value === undefined || parameters === undefined) {
			break;
		}
		const key = name.toLowerCase();
		if (!parameters.has(key)) {
			parameters.set(key, value);
		}
	}
	return challenges;

	function quoted(): string | undefined {
		let value = '';
		for (at++; at < text.length; at++) {
			const character = text.charAt(at);
			if (character === '"') {
				at++;
				return value;
			}
			if (character === '\\') {
				at++;
			}
			value += text.charAt(at);
		}
		return undefined;
	}
}
