import {createHash, randomBytes} from 'node:crypto';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {succeed} from '../test/helpers/command.ts';
import {inTurn, type Contestant} from './contestants.ts';
import {median, report, timed} from './measure.ts';

const MEBIBYTES = 256;
const ROUNDS = 5;

/** Blobs of 256 MiB, written and read by `ctr`, whose start and copying both pay. */
export async function benchContent(both: readonly [Contestant, Contestant]): Promise<void> {
	const directory = path.join(both[0].daemon.scratch, 'content');
	await mkdir(directory);
	const digests: string[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		digests.push(await makeBlob(fileOf(directory, round)));
	}
	const written = await inTurn(ROUNDS, both, async (contestant, round) => rate(contestant, fileOf(directory, round),
		['content', 'ingest', `bench-${round}`, '--expected-size', String(MEBIBYTES * 2 ** 20), '--expected-digest', digests[round] ?? '']));
	report(`content-write-${MEBIBYTES}MiB`, {ours: median(written.ours), peer: median(written.peer), unit: 'MiB/s', direction: 'throughput', target: 1.25});
	const read = await inTurn(ROUNDS, both, async (contestant, round) => rate(contestant, '/dev/null', ['content', 'get', digests[round] ?? '']));
	report(`content-read-${MEBIBYTES}MiB`, {ours: median(read.ours), peer: median(read.peer), unit: 'MiB/s', direction: 'throughput', target: 1.25});
	await rm(directory, {recursive: true});
}

/** MiB a second. What it prints goes nowhere. */
async function rate({ctr}: Contestant, input: string, args: readonly string[]): Promise<number> {
	const elapsedMs = await timed(async () => succeed('sh', ['-c', 'exec "$@" <"$0" >/dev/null', input, ctr.program, ...ctr.arguments(args)], {timeoutMs: 120_000}));
	return MEBIBYTES / (elapsedMs / 1000);
}

async function makeBlob(file: string): Promise<string> {
	const bytes = randomBytes(MEBIBYTES * 2 ** 20);
	await writeFile(file, bytes);
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function fileOf(directory: string, round: number): string {
	return path.join(directory, String(round));
}
