import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compressionOf} from './layer-compression.ts';

/** A program that makes of a layer of one media type a layer of another: an entry of `[stream_processors]`. */
export interface StreamProcessor {
	/** Payloads of an apply are named by it. */
	readonly id: string;
	readonly accepts: readonly string[];
	readonly returns: string;
	/** Absolute, or a name that is looked for in the daemon's PATH. */
	readonly path: string;
	readonly args: readonly string[];
	/** `NAME=value`, over the daemon's own environment. */
	readonly env: readonly string[];
}

/** A processor at work on what it accepts. */
export interface Stage {
	readonly processor: StreamProcessor;
	/** Of what it reads. */
	readonly mediaType: string;
}

export interface ProcessorChain {
	/** Each reads what the one before it writes; none where the layer is read as it is. */
	readonly stages: readonly Stage[];
	/** Of what the last one writes. */
	readonly mediaType: string;
}

/**
 * The processors that lead from a media type to one that is read here. They come first, as in containerd, also where a type could be read as it is; a plain tar
 * that a processor has written is the end. Rejects with UNIMPLEMENTED for a type that nobody reads, with FAILED_PRECONDITION where processors go round in a circle.
 */
export function chainFrom(mediaType: string, processors: readonly StreamProcessor[]): ProcessorChain {
	const stages: Stage[] = [];
	for (let type = mediaType; ;) {
		const processor = stages.length > 0 && type === mediaTypes.ociLayer ? undefined : processors.find(({accepts}) => accepts.includes(type));
		if (processor === undefined) {
			compressionOf(type);
			return {stages, mediaType: type};
		}
		if (stages.some(stage => stage.mediaType === type)) {
			throw new KeelsonError('FAILED_PRECONDITION', `stream processors go round in a circle: ${[...stages.map(stage => `${stage.processor.id} accepts ${stage.mediaType}`), `it ends with ${type} again`].join(', ')}`);
		}
		stages.push({processor, mediaType: type});
		type = processor.returns;
	}
}
