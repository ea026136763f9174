/**
 * npm run fuzz -- [--minutes 5] [--target NAME]... [--seed N]
 *
 * Gives each target an equal part of the time, one after another, and keeps in test/fuzz/corpus what reached something new and what broke it.
 */

import {parseArgs} from 'node:util';
import {fuzz, targetNames} from './fuzz.ts';

const {values} = parseArgs({options: {minutes: {type: 'string', default: '5'}, target: {type: 'string', multiple: true}, seed: {type: 'string'}}});
const wanted = values.target ?? targetNames;
const unknown = wanted.find(name => !targetNames.includes(name));
const minutes = Number(values.minutes);
if (unknown !== undefined || !(minutes > 0)) {
	console.error(unknown === undefined ? `--minutes is ${values.minutes}` : `there is no target ${unknown}, but ${targetNames.join(', ')}`);
	process.exit(2);
}

const seed = values.seed === undefined ? Date.now() % 1_000_000_007 : Number(values.seed);
console.log(`seed ${seed}`);
for (const target of wanted) {
	const {executions, broken, kept} = await fuzz({target, seed, milliseconds: minutes * 60_000 / wanted.length, keeps: true});
	console.log(`${broken.length === 0 ? 'ok    ' : 'BROKEN'}  ${target.padEnd(18)}${executions} executions, ${kept} inputs kept`);
	for (const {why, input} of broken) {
		process.exitCode = 1;
		console.log(`        ${why.split('\n').slice(0, 4).join('\n        ')}\n        by ${JSON.stringify(Buffer.from(input).toString('latin1').slice(0, 300))}`);
	}
}
