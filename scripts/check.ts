/**
 * Runs the checks and the tests, prints how each ended, and ends with `N passed, N failed`: the tests as ava's TAP counts them, and each check as one.
 */

import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {createInterface} from 'node:readline';

interface Outcome {
	readonly passed: number;
	readonly failed: number;
}

interface TestOutcome extends Outcome {
	readonly titles: readonly string[];
}

/** More than this is no accident, and is not tried again. */
const FILES_TRIED_AGAIN_MAX = 5;

const checks: readonly (readonly [name: string, command: string, ...parameters: string[]])[] = [
	['types', 'tsc', '-p', '.'],
	['lint', 'oxlint', '--deny-warnings', '.'],
	['borders', 'depcruise', '--config', '.dependency-cruiser.mjs', 'api', 'bin', 'client', 'contracts', 'examples', 'kernel', 'lib', 'plugins', 'scripts', 'test', 'bench'],
	['unused', 'knip', '--no-progress'],
];

async function check([name, command, ...parameters]: (typeof checks)[number]): Promise<Outcome> {
	const {code, output} = await run(command, parameters);
	console.log(`${code === 0 ? 'ok' : 'FAILED'}  ${name}`);
	if (code !== 0) {
		console.log(output);
	}
	return code === 0 ? {passed: 1, failed: 0} : {passed: 0, failed: 1};
}

async function run(command: string, parameters: readonly string[]): Promise<{code: number; output: string}> {
	const child = spawn(command, parameters, {stdio: ['ignore', 'pipe', 'pipe']});
	const chunks: Buffer[] = [];
	child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
	child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
	const code = await new Promise<number>((resolve, reject) => {
		child.on('error', reject);
		child.on('close', exit => {
			resolve(exit ?? 1);
		});
	});
	return {code, output: Buffer.concat(chunks).toString()};
}

/** Shows failures as they come, and a line for each hundred that passed; a suite that prints no plan has failed. */
async function tests(parameters: readonly string[]): Promise<TestOutcome> {
	const child = spawn('ava', ['--tap', ...parameters], {stdio: ['ignore', 'pipe', 'inherit']});
	let passed = 0;
	const titles: string[] = [];
	let failed = 0;
	let isShowing = false;
	for await (const line of createInterface({input: child.stdout})) {
		const [, not, title = ''] = /^(not )?ok \d+(?: - (.*))?$/.exec(line) ?? [];
		if (line.startsWith('ok ')) {
			passed++;
			isShowing = false;
			if (passed % 100 === 0) {
				console.log(`ok  ${passed} tests`);
			}
		} else if (not !== undefined) {
			failed++;
			titles.push(title);
			isShowing = true;
			console.log(`FAILED  ${title}`);
		} else if (isShowing || (!line.startsWith('#') && !line.startsWith('1..') && !line.startsWith('TAP') && line.trim() !== '' && !line.startsWith(' '))) {
			console.log(line);
		}
	}
	const code = child.exitCode ?? await new Promise<number>(resolve => {
		child.on('close', exit => {
			resolve(exit ?? 1);
		});
	});
	if (code !== 0 && failed === 0) {
		console.log(`FAILED  ava ended with ${code}`);
		failed++;
	}
	return {passed, failed, titles};
}

/** Ava's titles begin with the folder and the file below test/, unless one file was asked for alone. */
function fileOf(title: string): string {
	const [folder = '', name = ''] = title.split(' › ');
	return `test/${folder}/${name}.test.ts`;
}

/**
 * All tests; then those files in which one failed once more, alone: machines are shared, and a client or a peer that is starved for seconds fails a test
 * that nothing is wrong with. A test that fails both times has failed, and so has a second run that ends without saying why; what fails once is named.
 */
async function testsTwice(): Promise<Outcome> {
	const first = await tests([]);
	const files = [...new Set(first.titles.map(fileOf))];
	if (files.length === 0 || files.length > FILES_TRIED_AGAIN_MAX || files.some(file => !existsSync(file))) {
		return first;
	}
	console.log(`again, alone: ${files.join(' ')}`);
	const second = await tests(['--concurrency', '1', ...files]);
	const failedBefore = (title: string): boolean => first.titles.some(other => other.endsWith(title));
	const once = [
		...first.titles.filter(title => !second.titles.some(other => title.endsWith(other))),
		...second.titles.filter(title => !failedBefore(title)),
	];
	for (const title of once) {
		console.log(`failed once: ${title}`);
	}
	const failed = second.titles.filter(failedBefore).length + (second.failed - second.titles.length);
	return {passed: first.passed + first.failed - failed, failed};
}

const parameters = process.argv.slice(2);
const outcomes: Outcome[] = [];
if (parameters.length === 0) {
	for (const each of checks) {
		outcomes.push(await check(each));
	}
}
outcomes.push(await (parameters.length === 0 ? testsTwice() : tests(parameters)));
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
