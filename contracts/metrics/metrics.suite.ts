import type {TestFn} from 'ava';
import type {MetricSource} from './metrics.ts';

export interface MetricSubject {
	readonly name: string;
	/** A source that has something to tell. */
	open(): Promise<AsyncDisposable & {readonly source: MetricSource}>;
}

/** Every source of metrics passes this. */
export function metricsSuite(test: TestFn, {name, open}: MetricSubject): void {
	test(`${name}: families have names, types and words, and each name is there once`, async t => {
		await using subject = await open();
		const families = await subject.source.collect(AbortSignal.timeout(10_000));
		t.true(families.length > 0);
		for (const family of families) {
			t.regex(family.name, /^[a-zA-Z_:][a-zA-Z0-9_:]*$/);
			t.true(['counter', 'gauge', 'histogram'].includes(family.type), family.name);
			t.regex(family.help, /^\S[^\n]*\S$/, family.name);
		}
		t.is(new Set(families.map(family => family.name)).size, families.length);
	});

	test(`${name}: samples of a family have the same labels, and no two the same values of them`, async t => {
		await using subject = await open();
		for (const {name: family, type, samples} of await subject.source.collect(AbortSignal.timeout(10_000))) {
			const seen = new Set<string>();
			const names = new Map<string, string>();
			for (const {labels, suffix = '', value} of samples) {
				t.is(typeof value, 'number', family);
				t.true(type === 'histogram' ? ['_bucket', '_sum', '_count'].includes(suffix) : suffix === '', family);
				const mine = labels.map(([label]) => label).join();
				t.is(names.get(suffix) ?? mine, mine, family);
				names.set(suffix, mine);
				const key = JSON.stringify([suffix, labels]);
				t.false(seen.has(key), `${family} ${key}`);
				seen.add(key);
			}
			// They can be read again.
			t.is([...samples].length, seen.size, family);
		}
	});

	test(`${name}: who does not wait any more is told so`, async t => {
		await using subject = await open();
		const reason = new Error('nobody waits');
		await t.throwsAsync(subject.source.collect(AbortSignal.abort(reason)), {is: reason});
	});
}
