import inspector from 'node:inspector/promises';

/** Tells what parts of the sources an input reached that none before it did, by V8's own block counts. */
export class Coverage implements AsyncDisposable {
	readonly #session = new inspector.Session();
	readonly #sources: readonly string[];
	readonly #seen = new Set<string>();
	#last: string[] = [];

	private constructor(sources: readonly string[]) {
		this.#sources = sources;
	}

	/** `sources`: parts of the addresses of the modules that count. */
	static async start(sources: readonly string[]): Promise<Coverage> {
		const coverage = new Coverage(sources);
		coverage.#session.connect();
		await coverage.#session.post('Profiler.enable');
		await coverage.#session.post('Profiler.startPreciseCoverage', {callCount: true, detailed: true});
		return coverage;
	}

	/** How many blocks were reached since the last call for the first time. */
	async news(): Promise<number> {
		const {result} = await this.#session.post('Profiler.takePreciseCoverage');
		this.#last = [];
		for (const {url, functions} of result) {
			if (this.#sources.some(source => url.includes(source))) {
				for (const {startOffset, endOffset, count} of functions.flatMap(({ranges}) => ranges)) {
					const block = `${url} ${startOffset} ${endOffset}`;
					if (count > 0 && !this.#seen.has(block)) {
						this.#seen.add(block);
						this.#last.push(block);
					}
				}
			}
		}
		return this.#last.length;
	}

	/** Makes new again what the last call found: to look which of many inputs it was. */
	forgetLast(): void {
		for (const block of this.#last) {
			this.#seen.delete(block);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#session.post('Profiler.disable');
		this.#session.disconnect();
	}
}
