import type {TransferProgress} from '../image/progress-stream.ts';
import {humanBytes, shortDigest} from './human.ts';
import type {Output} from './output.ts';

const REDRAW_MS = 80;
const BAR_WIDTH = 24;
/** What a registry wants to have told: how many requests are left, and warnings. */
const NOTICE = /^[^ ]+ (?:allows \d+ of \d+ requests|warns: )/;

/** Shows how a pull goes: a line for each layer, redrawn on a terminal; a line for each change on a pipe; a document for each message as JSON. */
export class PullProgress implements Disposable {
	readonly #output: Output;
	readonly #parts = new Map<string, TransferProgress>();
	readonly #notices: string[] = [];
	#drawnLines = 0;
	#timer: NodeJS.Timeout | undefined;

	constructor(output: Output) {
		this.#output = output;
	}

	show(progress: TransferProgress): void {
		if (this.#output.isJson) {
			this.#output.json(progress);
			return;
		}
		if (NOTICE.test(progress.event) && progress.name === '') {
			this.#notices.push(progress.event);
		}
		if (!progress.name.startsWith('layer-')) {
			return;
		}
		const before = this.#parts.get(progress.name);
		this.#parts.set(progress.name, progress);
		if (this.#output.isTerminal) {
			this.#timer ??= setTimeout(() => this.#draw(), REDRAW_MS);
		} else if (before?.event !== progress.event) {
			this.#output.line(`${layerOf(progress)}\t${progress.event}`);
		}
	}

	/** What registries want to have told. */
	get notices(): readonly string[] {
		return this.#notices;
	}

	/** Draws what came last and was not drawn yet. */
	[Symbol.dispose](): void {
		if (this.#timer !== undefined) {
			clearTimeout(this.#timer);
			this.#draw();
		}
	}

	#draw(): void {
		this.#timer = undefined;
		// A line that has left the screen cannot be redrawn.
		const parts = [...this.#parts.values()].slice(-(this.#output.rows - 2));
		const up = this.#drawnLines === 0 ? '' : `\u001B[${this.#drawnLines}A`;
		this.#output.write(`${up}${parts.map(part => `\u001B[2K${layerLine(part).slice(0, this.#output.columns - 1)}\n`).join('')}`);
		this.#drawnLines = parts.length;
	}
}

/** `sha256:0123456789ab  downloading     [=======>        ]  3.1 MB / 9.0 MB`. */
export function layerLine(part: TransferProgress): string {
	const {event, progress, total} = part;
	const isWhole = event === 'complete' || event === 'already exists' || event === 'extracted';
	const head = `${shortDigest(layerOf(part))}  ${event.padEnd(14)}`;
	if (isWhole || total === 0) {
		return total === 0 ? head.trimEnd() : `${head}  ${humanBytes(total)}`;
	}
	const filled = Math.min(BAR_WIDTH, Math.floor(progress / total * BAR_WIDTH));
	const bar = `${'='.repeat(filled)}${filled < BAR_WIDTH ? '>' : ''}`.padEnd(BAR_WIDTH);
	return `${head}  [${bar}]  ${humanBytes(progress)} / ${humanBytes(total)}`;
}

function layerOf({name, digest}: TransferProgress): string {
	return digest ?? name.slice('layer-'.length);
}
