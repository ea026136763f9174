import path from 'node:path';
import {z} from 'zod';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {Refuse} from '../../kernel/plugin.ts';
import {chainFrom, type StreamProcessor} from './processor-chain.ts';

const TABLE = 'stream_processors';

const shown = JSON.stringify;
const mediaType = z.string().min(1, 'is empty, expected a media type');

/** Unknown keys are the kernel's to report. */
const entry = z.object({
	accepts: z.array(mediaType).default([]).refine(types => types.length > 0, 'is empty, expected the media types that the program reads'),
	returns: z.string().default('').refine(type => type !== '', 'is empty, expected the media type that the program writes'),
	path: z.string().default('').refine(isProgram, {error: ({input}) => `is ${shown(input)}, expected an absolute path, or a name that is looked for in PATH`}),
	args: z.array(z.string()).default([]),
	env: z.array(z.string().regex(/^[^=]+=/, {error: ({input}) => `is ${shown(input)}, expected NAME=value`})).default([]),
});

/**
 * Reads `[stream_processors]`: an entry that is wrong is refused with its place, and the others stay. Two that accept one type, of which the first counts, and a
 * circle, which is refused when a layer comes to it, are only reported.
 */
export function readProcessors(config: Readonly<Record<string, unknown>>, refuse: Refuse): readonly StreamProcessor[] {
	const processors: StreamProcessor[] = [];
	for (const [id, given] of Object.entries(z.record(z.string(), z.unknown()).default({}).parse(config[TABLE]))) {
		const {success, data, error} = entry.safeParse(given);
		for (const issue of error?.issues ?? []) {
			refuse([TABLE, id, ...issue.path.map(String)], issue.message);
		}
		if (success) {
			processors.push({id, ...data});
		}
	}
	for (const {id, accepts} of processors) {
		for (const type of accepts) {
			const first = processors.find(other => other.accepts.includes(type));
			if (first !== undefined && first.id !== id) {
				refuse([TABLE, id, 'accepts'], `has ${shown(type)}, which ${first.id} accepts already`);
			}
		}
		const circle = circleFrom(accepts, processors);
		if (circle !== undefined) {
			refuse([TABLE, id, 'returns'], `leads nowhere: ${circle}`);
		}
	}
	return processors;
}

function circleFrom(accepts: readonly string[], processors: readonly StreamProcessor[]): string | undefined {
	for (const type of accepts) {
		try {
			chainFrom(type, processors);
		} catch (error) {
			if (isKeelsonError(error, 'FAILED_PRECONDITION')) {
				return error.message;
			}
		}
	}
	return undefined;
}

function isProgram(text: string): boolean {
	return path.isAbsolute(text) || (text !== '' && !text.includes('/') && text !== '.' && text !== '..');
}
