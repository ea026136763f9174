import {checkCount, checkExtents, readDataMap} from './sparse-map.ts';
import {tarLimits, type Extent, type TarEntry, type TarSink} from './tar-entry.ts';
import {blockBytes} from './tar-header.ts';

export interface SparseBody {
	readonly size: number;
	/** Undefined: in front of the data (pax 1.0). */
	readonly extents: readonly Extent[] | undefined;
	/** The entry is only complete when its map is. */
	readonly entry: (extents: readonly Extent[]) => TarEntry;
}

/** Hands on the stored bytes of a sparse entry, each part with its place in the file. */
export class SparseReader {
	readonly #sink: TarSink;
	readonly #sparse: SparseBody;
	#rest: number;
	#extents: readonly Extent[] | undefined;
	#extent = 0;
	#inExtent = 0;
	#map: Buffer = Buffer.alloc(0);

	/** Tells the sink at once what needs no byte: an entry whose map is known, an entry that is empty. */
	constructor(storedBytes: number, sparse: SparseBody, sink: TarSink) {
		this.#rest = storedBytes;
		this.#sparse = sparse;
		this.#sink = sink;
		if (sparse.extents !== undefined) {
			this.#announce(sparse.extents);
		}
		if (this.#rest === 0) {
			this.#end();
		}
	}

	get isDone(): boolean {
		return this.#rest === 0;
	}

	/** @returns how many bytes were taken */
	take(chunk: Buffer, at: number): number {
		const part = chunk.subarray(at, at + Math.min(this.#rest, chunk.length - at));
		this.#rest -= part.length;
		if (this.#extents === undefined) {
			this.#takeMap(part);
		} else {
			this.#takeSparse(part, this.#extents);
		}
		if (this.#rest === 0) {
			this.#end();
		}
		return part.length;
	}

	#takeMap(part: Buffer): void {
		this.#map = Buffer.concat([this.#map, part]);
		const map = readDataMap(this.#map);
		const mapBytes = map === undefined ? Number.POSITIVE_INFINITY : Math.ceil(map.length / blockBytes) * blockBytes;
		if (map !== undefined && this.#map.length >= mapBytes) {
			const data = this.#map.subarray(mapBytes);
			this.#announce(map.extents, this.#rest + data.length);
			this.#takeSparse(data, map.extents);
			this.#map = Buffer.alloc(0);
		} else if (this.#map.length > tarLimits.headerBytes) {
			checkCount(Number.POSITIVE_INFINITY);
		}
	}

	#takeSparse(part: Buffer, extents: readonly Extent[]): void {
		for (let at = 0; at < part.length;) {
			const extent = extents[this.#extent];
			if (extent === undefined) {
				return;
			}
			const length = Math.min(extent.length - this.#inExtent, part.length - at);
			if (length > 0) {
				this.#sink.data(part.subarray(at, at + length), extent.offset + this.#inExtent);
			}
			at += length;
			this.#inExtent += length;
			if (this.#inExtent === extent.length) {
				this.#extent++;
				this.#inExtent = 0;
			}
		}
	}

	#announce(extents: readonly Extent[], storedBytes = this.#rest): void {
		this.#extents = checkExtents(extents, this.#sparse.size, storedBytes);
		this.#sink.entry(this.#sparse.entry(extents));
	}

	#end(): void {
		if (this.#extents === undefined) {
			// Names the missing map.
			checkExtents([], this.#sparse.size, Number.NaN);
		}
		this.#sink.entryEnd();
	}
}
