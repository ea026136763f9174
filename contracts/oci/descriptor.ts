import {KeelsonError} from '../../kernel/errors.ts';
import {parseDigest, type Digest} from './digest.ts';
import type {Platform} from './platform.ts';

/** Names content by what it is, not where it is (image-spec descriptor.md). */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly urls?: readonly string[];
	readonly platform?: Platform;
	readonly artifactType?: string;
	/** Base64, the content itself. */
	readonly data?: string;
}

/** Reads a descriptor out of parsed JSON. Rejects with INVALID_ARGUMENT, naming `where` and the field. */
export function parseDescriptor(value: unknown, where: string): Descriptor {
	if (!isRecord(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: a descriptor must be an object`);
	}
	const {mediaType, digest, size, annotations, urls, platform, artifactType, data} = value;
	if (typeof mediaType !== 'string' || typeof digest !== 'string') {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: a descriptor needs mediaType and digest`);
	}
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: size of ${digest.slice(0, 200)} is ${JSON.stringify(size)}, expected a number of bytes`);
	}
	return {
		mediaType,
		digest: parseDigest(digest),
		size,
		...(isRecord(annotations) ? {annotations: stringsOf(annotations)} : {}),
		...(Array.isArray(urls) ? {urls: urls.filter(url => typeof url === 'string')} : {}),
		...(isRecord(platform) ? {platform: platformOf(platform)} : {}),
		...(typeof artifactType === 'string' ? {artifactType} : {}),
		...(typeof data === 'string' ? {data} : {}),
	};
}

function platformOf(value: Readonly<Record<string, unknown>>): Platform {
	const text = (name: string): string => typeof value[name] === 'string' ? value[name] : '';
	const features = value['os.features'];
	return {
		os: text('os'),
		architecture: text('architecture'),
		variant: text('variant'),
		...(text('os.version') === '' ? {} : {osVersion: text('os.version')}),
		...(Array.isArray(features) ? {osFeatures: features.filter(feature => typeof feature === 'string')} : {}),
	};
}

function stringsOf(value: Readonly<Record<string, unknown>>): Record<string, string> {
	return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
