import {headerOf, type HttpResponse} from './http-client.ts';

const NOTICES_MAX = 16;
const NOTICE_CHARACTERS_MAX = 256;

/** What registries tell beside their answers: how many requests are left, and warnings (distribution-spec, Warnings). */
export class Notices {
	readonly #limits = new Map<string, string>();
	readonly #warnings = new Set<string>();

	note(response: HttpResponse): void {
		const {host} = response.url;
		const [limit, remaining] = [countOf(headerOf(response, 'ratelimit-limit')), countOf(headerOf(response, 'ratelimit-remaining'))];
		if (limit !== undefined && remaining !== undefined && (this.#limits.has(host) || this.#limits.size < NOTICES_MAX)) {
			this.#limits.set(host, `${host} allows ${remaining.count} of ${limit.count} requests more${limit.window === '' ? '' : ` in ${limit.window} s`}`);
		}
		for (const [, text = ''] of headerOf(response, 'warning').matchAll(/\b299 - "((?:[^"\\]|\\.)*)"/g)) {
			if (this.#warnings.size < NOTICES_MAX) {
				this.#warnings.add(`${host} warns: ${text.replaceAll(/\\(.)/g, '$1').replaceAll(/[^ -~]/g, '?').slice(0, NOTICE_CHARACTERS_MAX)}`);
			}
		}
	}

	/** The last of each kind and host. */
	list(): readonly string[] {
		return [...this.#limits.values(), ...this.#warnings];
	}
}

/** `100;w=21600` */
function countOf(header: string): {readonly count: number; readonly window: string} | undefined {
	const [, count, window = ''] = /^\s*(\d{1,12})(?:\s*;\s*w=(\d{1,9}))?/.exec(header) ?? [];
	return count === undefined ? undefined : {count: Number(count), window};
}
