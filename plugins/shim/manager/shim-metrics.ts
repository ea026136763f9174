import type {MetricFamily, MetricSource} from '../../../contracts/metrics/metrics.ts';
import {shimStates, type RunningShim} from './running-shim.ts';

/** How many shims are connected, and how it stands with them. */
export class ShimMetrics implements MetricSource {
	readonly #manager: {shims(): Promise<readonly Pick<RunningShim, 'address' | 'state'>[]>};

	constructor(manager: {shims(): Promise<readonly Pick<RunningShim, 'address' | 'state'>[]>}) {
		this.#manager = manager;
	}

	async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
		signal.throwIfAborted();
		const shims = await this.#manager.shims();
		signal.throwIfAborted();
		const left = new Set(shims.map(({address}) => address.address));
		const samples = shimStates.map(state => {
			const found = new Set(shims.filter(shim => shim.state === state && left.has(shim.address.address)).map(({address}) => address.address));
			found.forEach(address => left.delete(address));
			return {labels: [['state', state] as const], value: found.size};
		});
		return [{name: 'keelson_shims', help: 'Shims that are connected: those that do not answer, those that send more than is read, and the others', type: 'gauge', samples}];
	}
}
