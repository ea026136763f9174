import {steps, type Plan} from './round.ts';
import type {Target} from './crash-stage.ts';

/** Every place, with who is killed there: the process that comes by, and others with it. */
export function failpointPlans(): readonly Plan[] {
	const daemon = ['create.bundle', 'create.network', 'create.shim', 'create.address', 'create.made', 'start.done', 'exec.started', 'exit.noted', 'delete.shim', 'delete.done'];
	const shim = [
		'create.begun', 'create.mounted', 'create.runtime', 'create.told', 'start.asked', 'start.runtime', 'exec.added', 'exec.runtime', 'event.sent',
		'exit.reaped', 'exit.rest', 'exit.recorded', 'delete.runtime', 'delete.unmounted',
	];
	const plans: Omit<Plan, 'id'>[] = [
		...daemon.map(name => ({at: {failpoint: `daemon.${name}`}, targets: ['daemon' as const]})),
		...shim.map(name => ({at: {failpoint: `shim.${name}`}, targets: ['shim' as const]})),
		...['create.runtime', 'start.runtime', 'exec.runtime', 'exit.reaped', 'delete.runtime'].map(name => ({at: {failpoint: `shim.${name}`}, targets: ['shim', 'daemon'] as const})),
	];
	return plans.map((plan, index) => ({...plan, id: `f${index}`}));
}

const choices: readonly (readonly Target[])[] = [['daemon'], ['shim'], ['daemon', 'shim'], ['spare'], ['client'], ['spare', 'daemon'], ['client', 'daemon'], ['client', 'shim']];
const longestMs = 80;

/** Chosen by the seed alone. */
export function randomPlans(seed: number, rounds: number): readonly Plan[] {
	const next = randomFrom(seed);
	const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
	return Array.from({length: rounds}, (_, round) => ({id: `r${round}`, targets: pick(choices), at: {step: pick(steps), afterMs: Math.floor(next() * longestMs)}}));
}

// mulberry32
function randomFrom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
	};
}
