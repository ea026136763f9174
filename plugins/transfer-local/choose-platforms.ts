import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {platformDistance, type Platform} from '../../contracts/oci/platform.ts';

interface Choice {
	/** None: every platform. */
	readonly platforms: readonly Platform[];
	/** The best so many of those that match; 0: all of them. */
	readonly limit: number;
}

/**
 * The manifests of an index that are wanted, best match first. One without a platform is taken where nothing says what it is for. Attestations and the like
 * (`unknown/unknown`) match no platform.
 */
export function choosePlatforms(manifests: readonly Descriptor[], {platforms, limit}: Choice): readonly Descriptor[] {
	if (platforms.length === 0) {
		return limit === 0 ? manifests : manifests.slice(0, limit);
	}
	const ranked = manifests.flatMap((descriptor, index) => {
		const distance = descriptor.platform === undefined ? 1000 : distanceTo(descriptor.platform, platforms);
		return distance === undefined ? [] : [{descriptor, distance, index}];
	}).toSorted((a, b) => a.distance - b.distance || a.index - b.index).map(({descriptor}) => descriptor);
	return limit === 0 ? ranked : ranked.slice(0, limit);
}

function distanceTo(have: Platform, platforms: readonly Platform[]): number | undefined {
	const distances = platforms.map(want => platformDistance(want, have)).filter(distance => distance !== undefined);
	return distances.length === 0 ? undefined : Math.min(...distances);
}
