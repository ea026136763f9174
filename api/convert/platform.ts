import type {Platform} from '../../contracts/oci/platform.ts';
import type {Platform as PlatformMessage} from '../gen/types/platform.ts';

export function platformOf({os, architecture, variant, osVersion, osFeatures}: PlatformMessage): Platform {
	return {
		os, architecture, variant,
		...(osVersion === '' ? {} : {osVersion}),
		...(osFeatures.length === 0 ? {} : {osFeatures}),
	};
}

export function platformMessage({os, architecture, variant, osVersion = '', osFeatures = []}: Platform): PlatformMessage {
	return {os, architecture, variant, osVersion, osFeatures};
}
