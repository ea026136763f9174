import {KeelsonError} from '../../kernel/errors.ts';
import {parsePaxRecords, type PaxRecords} from './pax-records.ts';
import {SparseReader} from './sparse-reader.ts';
import {checkCount, planSparse, readExtents, type SparsePlan} from './sparse-map.ts';
import {tarLimits, type Extent, type TarEntry, type TarEntryType, type TarSink} from './tar-entry.ts';
import {blockBytes, isZero, parseTarHeader, text, type TarHeader} from './tar-header.ts';

/**
 * Reads a tar as it comes, in pieces of any size: ustar, pax, GNU and star, long names, sparse files. What comes after the end mark is
 * passed over. A pax header for the whole archive (`g`) is read and ignored, as containerd does.
 *
 * push and end throw INVALID_ARGUMENT (not a tar, a header beyond the limits), DATA_LOSS (cut short), and what the sink throws.
 */
export class TarReader {
	readonly #sink: TarSink;
	readonly #block = Buffer.alloc(blockBytes);
	#filled = 0;
	/** Takes the bytes of what is not sparse: an entry's, or a header's. */
	#bodySink: BodySink;
	/** So many of them are still to come. */
	#body = 0;
	#bodyOffset = 0;
	#sparse: SparseReader | undefined;
	/** Bytes up to the next block. */
	#padding = 0;
	#pending: Pending | undefined;
	#isEnded = false;
	#zeroBlocks = 0;
	#bytes = 0;
	#pax: PaxRecords | undefined;
	#longName: Buffer | undefined;
	#longLink: Buffer | undefined;
	#seconds = 0;
	#secondsNs = 0n;

	constructor(sink: TarSink) {
		this.#sink = sink;
		this.#bodySink = sink;
	}

	/** The end mark has been read. */
	get isEnded(): boolean {
		return this.#isEnded;
	}

	push(chunk: Buffer): void {
		for (let at = 0; at < chunk.length && !this.#isEnded;) {
			const taken = this.#take(chunk, at);
			at += taken;
			this.#bytes += taken;
		}
	}

	/** Says that nothing follows. An archive without end mark is whole if it ends where a header could begin. */
	end(): void {
		if (this.#isEnded) {
			return;
		}
		if (this.#filled > 0 || this.#body > 0 || this.#sparse !== undefined || this.#padding > 0 || this.#pending !== undefined || this.#hasPrologue) {
			throw new KeelsonError('DATA_LOSS', `the tar is cut short after ${this.#bytes} bytes`);
		}
		this.#isEnded = true;
	}

	get #hasPrologue(): boolean {
		return this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
	}

	#take(chunk: Buffer, at: number): number {
		if (this.#body > 0) {
			return this.#takeBody(chunk, at);
		}
		if (this.#sparse !== undefined) {
			const taken = this.#sparse.take(chunk, at);
			if (this.#sparse.isDone) {
				this.#sparse = undefined;
			}
			return taken;
		}
		if (this.#padding > 0) {
			const taken = Math.min(this.#padding, chunk.length - at);
			this.#padding -= taken;
			return taken;
		}
		const rest = chunk.length - at;
		if (this.#filled === 0 && rest >= blockBytes) {
			this.#takeBlock(chunk.subarray(at, at + blockBytes));
			return blockBytes;
		}
		const taken = Math.min(blockBytes - this.#filled, rest);
		chunk.copy(this.#block, this.#filled, at, at + taken);
		this.#filled += taken;
		if (this.#filled === blockBytes) {
			this.#filled = 0;
			this.#takeBlock(this.#block);
		}
		return taken;
	}

	#takeBody(chunk: Buffer, at: number): number {
		const taken = Math.min(this.#body, chunk.length - at);
		this.#bodySink.data(chunk.subarray(at, at + taken), this.#bodyOffset);
		this.#bodyOffset += taken;
		this.#body -= taken;
		if (this.#body === 0) {
			this.#bodySink.entryEnd();
		}
		return taken;
	}

	#takeBlock(block: Buffer): void {
		if (this.#pending !== undefined) {
			this.#takeExtents(block, this.#pending);
			return;
		}
		if (isZero(block)) {
			this.#isEnded = ++this.#zeroBlocks === 2;
			return;
		}
		if (this.#zeroBlocks > 0) {
			throw new KeelsonError('INVALID_ARGUMENT', `not a tar: a single empty block before byte ${this.#bytes}`);
		}
		const header = parseTarHeader(block, this.#bytes);
		switch (header.typeflag) {
			case 'x': {
				this.#collect(header, bytes => {
					this.#pax = parsePaxRecords(bytes);
				});
				return;
			}
			case 'g': {
				// Read, so that one that is none is found, and ignored.
				this.#collect(header, parsePaxRecords);
				return;
			}
			case 'L': {
				this.#collect(header, bytes => {
					this.#longName = text(bytes, 0, bytes.length);
				});
				return;
			}
			case 'K': {
				this.#collect(header, bytes => {
					this.#longLink = text(bytes, 0, bytes.length);
				});
				return;
			}
			default: {
				this.#begin(header);
			}
		}
	}

	#collect({size, typeflag}: TarHeader, use: (bytes: Buffer) => void): void {
		if (size < 0 || size > tarLimits.headerBytes) {
			throw new KeelsonError('INVALID_ARGUMENT', `a tar header of type ${JSON.stringify(typeflag)} has ${size} bytes, at most ${tarLimits.headerBytes} are allowed`);
		}
		const bytes = Buffer.alloc(size);
		let filled = 0;
		this.#readBody(size, {
			data(part) {
				filled += part.copy(bytes, filled);
			},
			entryEnd() {
				use(bytes);
			},
		});
	}

	#begin(header: TarHeader): void {
		const pax = this.#pax;
		const plan = planSparse(header, pax, this.#bytes);
		const pending: Pending = {header, pax, longName: this.#longName, longLink: this.#longLink, plan, extents: []};
		this.#pax = undefined;
		this.#longName = undefined;
		this.#longLink = undefined;
		if (plan?.kind === 'blocks') {
			// The header's own bytes are gone by the time that the map is whole.
			this.#pending = {...pending, extents: [...plan.extents]};
			return;
		}
		this.#start(pending);
	}

	#takeExtents(block: Buffer, pending: Pending): void {
		const {extents, isLast} = readExtents(block, 0, 21, 504, this.#bytes);
		pending.extents.push(...extents);
		checkCount(pending.extents.length);
		if (isLast) {
			this.#pending = undefined;
			this.#start(pending);
		}
	}

	#start({header, pax, longName, longLink, plan, extents}: Pending): void {
		const storedBytes = hasBody(header.typeflag) ? pax?.size ?? header.size : 0;
		const name = checkName(longName ?? pax?.sparseName ?? pax?.path ?? header.name);
		if (storedBytes < 0) {
			throw new KeelsonError('INVALID_ARGUMENT', `tar entry ${shown(name)} has ${storedBytes} bytes`);
		}
		const mtimeNs = pax?.mtimeNs ?? this.#nanoseconds(header.mtime);
		const entry = (known: readonly Extent[] | undefined): TarEntry => ({
			name,
			type: typeOf(header.typeflag, name),
			typeflag: header.typeflag,
			mode: header.mode & 0o7777,
			uid: pax?.uid ?? header.uid,
			gid: pax?.gid ?? header.gid,
			size: plan?.size ?? storedBytes,
			mtimeNs,
			atimeNs: pax?.atimeNs,
			linkName: checkName(longLink ?? pax?.linkpath ?? header.linkName),
			device: header.device,
			attributes: pax?.attributes ?? none,
			extents: known,
		});
		if (plan === undefined || (storedBytes === 0 && !hasBody(header.typeflag))) {
			this.#sink.entry(entry(undefined));
			this.#readBody(storedBytes, this.#sink);
			return;
		}
		this.#padding = paddingOf(storedBytes);
		const sparse = new SparseReader(storedBytes, {entry, size: plan.size, extents: plan.kind === 'in data' ? undefined : plan.kind === 'known' ? plan.extents : extents}, this.#sink);
		this.#sparse = sparse.isDone ? undefined : sparse;
	}

	#readBody(storedBytes: number, sink: BodySink): void {
		this.#padding = paddingOf(storedBytes);
		this.#bodySink = sink;
		this.#body = storedBytes;
		this.#bodyOffset = 0;
		if (storedBytes === 0) {
			sink.entryEnd();
		}
	}

	/** Most entries of a layer have the time of the one before. */
	#nanoseconds(seconds: number): bigint {
		if (seconds !== this.#seconds) {
			this.#seconds = seconds;
			this.#secondsNs = BigInt(seconds) * 1_000_000_000n;
		}
		return this.#secondsNs;
	}
}

type BodySink = Pick<TarSink, 'data' | 'entryEnd'>;

/** An entry whose old GNU map goes on in the next block. */
interface Pending {
	readonly header: TarHeader;
	readonly pax: PaxRecords | undefined;
	readonly longName: Buffer | undefined;
	readonly longLink: Buffer | undefined;
	readonly plan: SparsePlan | undefined;
	readonly extents: Extent[];
}

function paddingOf(storedBytes: number): number {
	return (blockBytes - storedBytes % blockBytes) % blockBytes;
}

const none: readonly never[] = [];

function hasBody(typeflag: string): boolean {
	return !'123456'.includes(typeflag);
}

function typeOf(typeflag: string, name: Buffer): TarEntryType {
	// A v7 directory is a file whose name ends in a slash.
	if (typeflag === '\0') {
		return name.at(-1) === 0x2f ? 'directory' : 'file';
	}
	return types.get(typeflag) ?? 'unknown';
}

const types: ReadonlyMap<string, TarEntryType> = new Map([
	['0', 'file'], ['7', 'file'], ['S', 'file'], ['1', 'link'], ['2', 'symlink'], ['3', 'character'], ['4', 'block'], ['5', 'directory'], ['6', 'fifo'],
]);

function checkName(name: Buffer): Buffer {
	if (name.length > tarLimits.nameBytes) {
		throw new KeelsonError('INVALID_ARGUMENT', `name ${shown(name)} in a tar has ${name.length} bytes, at most ${tarLimits.nameBytes} are allowed`);
	}
	return name;
}

function shown(name: Buffer): string {
	return JSON.stringify(name.toString('utf8', 0, 200));
}
