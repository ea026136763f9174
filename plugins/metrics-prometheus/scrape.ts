import type {MetricFamily, MetricSource} from '../../contracts/metrics/metrics.ts';
import type {Logger} from '../../kernel/log.ts';

/** Prometheus itself gives up after ten seconds. */
const COLLECT_MS = 8000;

/** Asks all sources. Whoever comes while that goes on gets the same answer: the work is that of one scrape, however many there are. */
export class Scrape {
	readonly #sources: ReadonlyMap<string, MetricSource>;
	readonly #log: Pick<Logger, 'warn'>;
	readonly #collectMs: number;
	#running: Promise<readonly MetricFamily[]> | undefined;

	/** @param collectMs how long sources may take */
	constructor(sources: ReadonlyMap<string, MetricSource>, log: Pick<Logger, 'warn'>, collectMs = COLLECT_MS) {
		this.#sources = sources;
		this.#log = log;
		this.#collectMs = collectMs;
	}

	/** Families of all sources that answered in time. A name that two have is the first one's. */
	async families(): Promise<readonly MetricFamily[]> {
		this.#running ??= this.#collect().finally(() => {
			this.#running = undefined;
		});
		return this.#running;
	}

	async #collect(): Promise<readonly MetricFamily[]> {
		const signal = AbortSignal.timeout(this.#collectMs);
		const late = Promise.withResolvers<never>();
		// A source that forgets its signal holds nobody up either.
		signal.addEventListener('abort', () => late.reject(signal.reason), {once: true});
		late.promise.catch(() => {});
		const answers = await Promise.all([...this.#sources].map(async ([name, source]) => {
			try {
				return await Promise.race([source.collect(signal), late.promise]);
			} catch (error) {
				this.#log.warn('a source of metrics does not answer', {source: name, error});
				return [];
			}
		}));
		const families = new Map<string, MetricFamily>();
		for (const family of answers.flat()) {
			if (!families.has(family.name)) {
				families.set(family.name, family);
			}
		}
		return [...families.values()];
	}
}
