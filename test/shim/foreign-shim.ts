import {chmod, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {programsOf, type Release} from '../helpers/releases.ts';

export function shimOfRelease(release: Release): string {
	return path.join(programsOf(release), 'containerd-shim-runc-v2');
}

/**
 * Hand-made: a shim that is started as containerd 2.3 starts its own, and in no other way. No package of containerd 2.3 is at hand, so
 * that of 2.1 does the work behind a start of ours. It keeps what it was told in `told`.
 */
export async function writeBootstrapShim(directory: string): Promise<{readonly binary: string; readonly told: string}> {
	const told = path.join(directory, 'told');
	const script = `
		import {spawnSync} from 'node:child_process';
		import {readFileSync, writeFileSync, writeSync} from 'node:fs';
		import {BootstrapParams, BootstrapResult} from ${JSON.stringify(path.join(import.meta.dirname, '../../api/gen/runtime/bootstrap/v1/bootstrap.ts'))};
		const words = process.argv.slice(2);
		const isStart = words.at(-1) === 'start';
		const input = isStart ? readFileSync(0) : undefined;
		if (isStart) {
			const params = BootstrapParams.decode(input);
			if (params.instanceId === '' || !words.includes(params.instanceId)) {
				writeSync(2, 'the daemon may need to be restarted');
				process.exit(1);
			}
			writeFileSync(${JSON.stringify(told)}, JSON.stringify({...params, extensions: params.extensions.map(one => one.value?.typeUrl)}));
		}
		const {status, stdout, stderr} = spawnSync(${JSON.stringify(shimOfRelease('2.1'))}, words, {input: Buffer.alloc(0)});
		writeSync(2, stderr);
		writeSync(1, isStart && status === 0 ? BootstrapResult.encode(BootstrapResult.fromPartial(JSON.parse(stdout))).finish() : stdout);
		process.exit(status);
	`;
	return {binary: await writeProgram(directory, 'bootstrap', script), told};
}

/** Hand-made: a shim that takes what is on standard input for options, whatever it is, and fails at anything else, as some libraries do. */
export async function writeStrictShim(directory: string): Promise<string> {
	const script = `
		import {spawnSync} from 'node:child_process';
		import {readFileSync, writeSync} from 'node:fs';
		import {Any} from ${JSON.stringify(path.join(import.meta.dirname, '../../api/gen/google/protobuf/any.ts'))};
		const words = process.argv.slice(2);
		const input = readFileSync(0);
		const {typeUrl} = Any.decode(input);
		if (words.at(-1) === 'start' && typeUrl !== '' && typeUrl !== 'containerd.runc.v1.Options') {
			writeSync(2, 'options of an unknown type ' + typeUrl);
			process.exit(1);
		}
		const {status, stdout, stderr} = spawnSync(${JSON.stringify(shimOfRelease('1.6'))}, words, {input});
		writeSync(2, stderr);
		writeSync(1, stdout);
		process.exit(status);
	`;
	return writeProgram(directory, 'strict', script);
}

async function writeProgram(directory: string, name: string, script: string): Promise<string> {
	const [file, binary] = [path.join(directory, `${name}.mjs`), path.join(directory, `containerd-shim-${name}-v2`)];
	await writeFile(file, script);
	await writeFile(binary, `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${file}' "$@"\n`);
	await chmod(binary, 0o755);
	return binary;
}
