import {stat} from 'node:fs/promises';

/**
 * How a shim's binary is told what to start: by a BootstrapParams on standard input (containerd 2.3), by flags with the options there (before), or by
 * flags alone, which is all that ours needs.
 */
export type StartProtocol = 'bootstrap' | 'options' | 'flags';

/** As many binaries as a host may reasonably have; beyond that they are found out anew. */
const knownMax = 256;

/** Which way each shim's binary took, for as long as its file is the same one: an older one may refuse the newer way, and the other way round. */
export class StartProtocols {
	readonly #known = new Map<string, StartProtocol>();
	readonly #own: string;

	/** @param own our own launcher, which takes each, and loads least for flags */
	constructor(own: string) {
		this.#own = own;
	}

	/** The ways to try, in order. `worked` keeps what was found out. */
	async of(binary: string): Promise<{readonly order: readonly StartProtocol[]; readonly worked: (protocol: StartProtocol) => void}> {
		const key = await identityOf(binary);
		const known = binary === this.#own ? 'flags' : this.#known.get(key);
		return {
			// Not the other way round: what is meant as options can be read as parameters, with another name and namespace.
			order: known === undefined ? ['bootstrap', 'options'] : [known],
			worked: protocol => {
				if (this.#known.size >= knownMax) {
					this.#known.clear();
				}
				this.#known.set(key, protocol);
			},
		};
	}
}

async function identityOf(file: string): Promise<string> {
	try {
		const {dev, ino, size, mtimeNs} = await stat(file, {bigint: true});
		return [file, dev, ino, size, mtimeNs].join('\0');
	} catch {
		// It is not there: its start says so.
		return file;
	}
}
