import {KeelsonError} from '../../kernel/errors.ts';

/** What a program needs to run (image-spec image-index.md). An empty variant is the architecture's default. */
export interface Platform {
	readonly os: string;
	readonly architecture: string;
	readonly variant: string;
	readonly osVersion?: string;
	readonly osFeatures?: readonly string[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
	x64: 'amd64', x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', ia32: '386', i386: '386', i686: '386', armhf: 'arm', armel: 'arm',
};
const VARIANTS: Readonly<Record<string, string>> = {arm: 'v7', arm64: 'v8'};

/** The platform of this process. */
export function hostPlatform(architecture: string = process.arch): Platform {
	return normalizePlatform({os: 'linux', architecture, variant: ''});
}

/** Rejects with INVALID_ARGUMENT: expected `os[/architecture[/variant]]` or an architecture alone. */
export function parsePlatform(text: string): Platform {
	const parts = text.toLowerCase().split('/');
	if (parts.length > 3 || parts.some(part => !/^[a-z0-9_.-]+$/.test(part))) {
		throw new KeelsonError('INVALID_ARGUMENT', `invalid platform ${JSON.stringify(text.slice(0, 100))}: expected os/architecture/variant`);
	}
	const [first = '', second, third = ''] = parts;
	if (second === undefined) {
		const isSystem = first === 'linux' || first === 'windows' || first === 'darwin' || first === 'freebsd';
		return normalizePlatform(isSystem ? {...hostPlatform(), os: first} : {os: 'linux', architecture: first, variant: ''});
	}
	return normalizePlatform({os: first, architecture: second, variant: third});
}

export function formatPlatform(platform: Platform): string {
	const {os, architecture, variant} = normalizePlatform(platform);
	return [os, architecture, variant].filter(part => part !== '').join('/');
}

/** One name for each architecture; the default variant becomes empty, except arm's, which stays v7. */
export function normalizePlatform(platform: Platform): Platform {
	const lower = platform.architecture.toLowerCase();
	const architecture = ARCHITECTURES[lower] ?? lower;
	let variant = platform.variant.toLowerCase();
	if (architecture === 'arm') {
		variant = variant === '' ? VARIANTS['arm'] ?? '' : variant.startsWith('v') ? variant : `v${variant}`;
	} else if ((architecture === 'arm64' && (variant === '8' || variant === 'v8')) || (architecture === 'amd64' && variant === 'v1')) {
		variant = '';
	}
	return {...platform, os: platform.os.toLowerCase(), architecture, variant};
}

/**
 * How well `have` runs on `want`: 0 is exact, larger is worse, undefined not at all. An older arm variant and 32-bit arm run on a newer one.
 */
export function platformDistance(want: Platform, have: Platform): number | undefined {
	const [wanted, offered] = [normalizePlatform(want), normalizePlatform(have)];
	if (wanted.os !== offered.os) {
		return undefined;
	}
	if (wanted.architecture === offered.architecture) {
		const distance = level(wanted) - level(offered);
		return distance < 0 ? undefined : distance;
	}
	if (wanted.architecture === 'amd64' && offered.architecture === '386') {
		return 100;
	}
	if (wanted.architecture === 'arm64' && offered.architecture === 'arm') {
		return 100 + 8 - level(offered);
	}
	return undefined;
}

function level({architecture, variant}: Platform): number {
	const number = Number.parseInt(variant.replace(/^v/, ''), 10);
	if (Number.isNaN(number)) {
		return architecture === 'arm64' ? 8 : architecture === 'amd64' ? 1 : 0;
	}
	return number;
}
