import type {Target} from './targets.ts';

const faulty = (name: string, run: () => unknown): Target => ({name, sources: ['/test/fuzz/faulty-targets'], words: [], seeds: () => ['innocent'], run});

/** Targets that break their word, each in a way that a run must tell: those that test the fuzzer. */
export const faultyTargets: readonly Target[] = [
	faulty('throws', () => {
		throw new TypeError('no error of ours');
	}),
	faulty('hangs', () => {
		for (;;) {
			// For ever.
		}
	}),
	faulty('fills the heap', () => {
		const all: unknown[] = [];
		for (;;) {
			all.push(Array.from<number>({length: 1_000_000}).fill(all.length));
		}
	}),
	faulty('fills buffers', () => {
		const all: Uint8Array[] = [];
		for (let count = 0; count < 300; count++) {
			all.push(new Uint8Array(1024 * 1024).fill(1));
		}
		return all.length;
	}),
];
