import {KeelsonError} from '../../kernel/errors.ts';
import {parseDigest, type Digest} from './digest.ts';

/** `host[:port]/path[:tag][@digest]`, as containerd's clients write it: the host is always there. */
export interface Reference {
	/** `host[:port]` */
	readonly host: string;
	/** The repository, without host. */
	readonly repository: string;
	readonly tag?: string;
	readonly digest?: Digest;
}

const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?$/;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const MAX_LENGTH = 4096;

/** Rejects with INVALID_ARGUMENT and the part that does not parse (distribution-spec, Pulling manifests). */
export function parseReference(text: string): Reference {
	const refuse = (why: string): never => {
		throw new KeelsonError('INVALID_ARGUMENT', `invalid reference ${JSON.stringify(text.slice(0, 300))}: ${why}`);
	};
	if (text.length > MAX_LENGTH) {
		return refuse(`${text.length} characters, at most ${MAX_LENGTH} are allowed`);
	}
	const slash = text.indexOf('/');
	if (slash <= 0) {
		return refuse('expected host/repository');
	}
	const host = text.slice(0, slash);
	if (!HOST.test(host)) {
		return refuse(`host ${JSON.stringify(host)} is not a host name with an optional port`);
	}
	const at = text.indexOf('@', slash);
	const digest = at === -1 ? undefined : parseDigest(text.slice(at + 1));
	const named = text.slice(slash + 1, at === -1 ? undefined : at);
	const colon = named.lastIndexOf(':');
	const repository = colon === -1 ? named : named.slice(0, colon);
	const tag = colon === -1 ? undefined : named.slice(colon + 1);
	if (!REPOSITORY.test(repository) || repository.length > 255) {
		return refuse(`repository ${JSON.stringify(repository.slice(0, 300))} is not lower-case path components`);
	}
	if (tag !== undefined && !TAG.test(tag)) {
		return refuse(`tag ${JSON.stringify(tag.slice(0, 200))} is not valid`);
	}
	return {host, repository, ...(tag === undefined ? {} : {tag}), ...(digest === undefined ? {} : {digest})};
}

export function formatReference({host, repository, tag, digest}: Reference): string {
	return `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
