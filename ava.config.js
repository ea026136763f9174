// Files run one after another per core; each has a process of its own, so a test may unshare or mount.
export default {
	files: ['test/**/*.test.ts', 'contracts/**/*.test.ts', 'lib/**/*.test.ts', 'kernel/**/*.test.ts', 'plugins/**/*.test.ts'],
	extensions: ['ts'],
	timeout: '3m',
	concurrency: 2,
	workerThreads: false,
};
