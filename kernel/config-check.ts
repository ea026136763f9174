import type {ZodType} from 'zod';
import type {Places} from './config-place.ts';
import {KeelsonError} from './errors.ts';
import {deepMerge, isTable, removeAt, valueAt, type Table} from './table.ts';

type Path = readonly string[];

/** What one schema is asked about: tables of the whole configuration that are read as one, the last counting most. */
export interface Question {
	readonly schema: ZodType;
	readonly whole: Table;
	readonly sources: readonly Path[];
	/** For messages: whose configuration it is. */
	readonly whose: string;
	readonly places: Places;
}

export interface Checked {
	/** What the schema made of the tables; undefined when `error` is there. */
	readonly value: unknown;
	/** The tables as they were given, without what is unknown. */
	readonly given: Table;
	/** Names each wrong key with its place, its value and what was expected. */
	readonly error: KeelsonError | undefined;
	/** Keys that the schema does not know, as paths in the whole configuration, and the source that has them. */
	readonly unknown: readonly {readonly path: Path; readonly source: Path}[];
}

/** Checks tables by a strict schema; unknown keys are set apart, so that they spoil nothing else. */
export async function checkTable(question: Question): Promise<Checked> {
	const {schema, whole, sources} = question;
	const given = structuredClone(sources.map((source) => valueAt(whole, source)).filter(isTable).reduce(deepMerge, {}));
	const unknown: {path: Path; source: Path}[] = [];
	let result = await schema.safeParseAsync(given);
	for (const issue of result.error?.issues ?? []) {
		for (const key of issue.code === 'unrecognized_keys' ? issue.keys : []) {
			const path = [...issue.path, key].map(String);
			removeAt(given, path);
			const having = sources.filter((source) => valueAt(whole, [...source, ...path]) !== undefined);
			unknown.push(...having.map((source) => ({path: [...source, ...path], source})));
		}
	}
	result = unknown.length > 0 ? await schema.safeParseAsync(given) : result;
	const error = result.success ? undefined : await wrong(question, given, result.error.issues);
	return {value: result.data, given, error, unknown};
}

interface Issue {
	readonly path: readonly PropertyKey[];
	readonly message: string;
}

async function wrong({whole, sources, whose, places}: Question, given: Table, issues: readonly Issue[]): Promise<KeelsonError> {
	const messages = issues.map(async ({path, message}) => {
		const source = sources.findLast((each) => valueAt(whole, [...each, ...path]) !== undefined) ?? sources.at(-1) ?? [];
		const value = JSON.stringify(valueAt(given, path)) ?? 'not set';
		return `key ${path.join('.')}${await places.of([...source, ...path])} is ${value}: ${message}`;
	});
	return new KeelsonError('INVALID_ARGUMENT', `config of ${whose}: ${(await Promise.all(messages)).join('; ')}`);
}
