import {parseDescriptor, type Descriptor} from '../../contracts/oci/descriptor.ts';
import {digestAlgorithm, digestHex, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {headerOf} from './http-client.ts';
import {readJson} from './read-body.ts';
import type {Session} from './session.ts';

const PAGE_BYTES_MAX = 4 * 1024 * 1024;
const PAGES_MAX = 64;

interface Options {
	readonly artifactType?: string;
	readonly signal?: AbortSignal;
}

/** What refers to a subject, page by page (distribution-spec, Listing Referrers); a registry older than that keeps it under a tag made of the digest. */
export async function referrersOf(session: Session, subject: Digest, {artifactType, signal}: Options): Promise<readonly Descriptor[]> {
	const found = await pagesOf(session, `referrers/${subject}`, {...(artifactType === undefined ? {} : {artifactType}), ...(signal === undefined ? {} : {signal})})
		.catch(unlessMissing(async () => pagesOf(session, `manifests/${digestAlgorithm(subject)}-${digestHex(subject)}`, signal === undefined ? {} : {signal})))
		.catch(unlessMissing(async () => []));
	// A registry need not filter.
	return found.map(one => parseDescriptor(one, `referrers of ${subject}`)).filter(one => artifactType === undefined || one.artifactType === artifactType);
}

async function pagesOf(session: Session, path: string, {artifactType, signal}: Options): Promise<readonly unknown[]> {
	const found: unknown[] = [];
	let query: Readonly<Record<string, string>> = artifactType === undefined ? {} : {artifactType};
	for (let page = 0; page < PAGES_MAX; page++) {
		const {response} = await session.ask({method: 'GET', path, query, headers: {accept: mediaTypes.ociIndex}, ...(signal === undefined ? {} : {signal})}, 'pull');
		const document = await readJson(response.body, {limit: PAGE_BYTES_MAX, what: path});
		if (typeof document !== 'object' || document === null || !('manifests' in document) || !Array.isArray(document.manifests)) {
			throw new KeelsonError('INVALID_ARGUMENT', `${path} of ${session.reference.host}/${session.reference.repository} is no index`);
		}
		found.push(...document.manifests as readonly unknown[]);
		const [, next] = /<([^>]{1,4096})>\s*;\s*rel="?next"?/.exec(headerOf(response, 'link')) ?? [];
		if (next === undefined || !URL.canParse(next, response.url.href)) {
			return found;
		}
		query = {...query, ...Object.fromEntries(new URL(next, response.url).searchParams)};
	}
	throw new KeelsonError('RESOURCE_EXHAUSTED', `${path} of ${session.reference.host}/${session.reference.repository} has more than ${PAGES_MAX} pages`);
}

function unlessMissing<T>(otherwise: () => Promise<T>): (error: unknown) => Promise<T> {
	return async error => {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw KeelsonError.from(error);
		}
		return otherwise();
	};
}
