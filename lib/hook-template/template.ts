import {KeelsonError} from '../../kernel/errors.ts';

/** What an action may call: functions of strings. */
export type TemplateFunctions = Readonly<Record<string, (...values: readonly string[]) => string>>;

/**
 * Puts values into a text as Go's text/template does where actions only call functions: `{{id}}`, `{{annotation "key"}}`, pipelines
 * (`{{"key" | annotation}}`), parentheses, comments, and `{{- -}}`, which takes white space beside it. Throws INVALID_ARGUMENT for
 * anything else, with the action.
 */
export function renderTemplate(text: string, functions: TemplateFunctions): string {
	let rendered = '';
	let trimsNext = false;
	let rest = text;
	for (let start = rest.indexOf('{{'); start !== -1; start = rest.indexOf('{{')) {
		const [length, body] = actionAt(rest.slice(start));
		const before = trimsNext ? rest.slice(0, start).trimStart() : rest.slice(0, start);
		const trimsBefore = /^-\s/.test(body);
		trimsNext = /\s-$/.test(body);
		const action = body.slice(trimsBefore ? 1 : 0, trimsNext ? -1 : undefined).trim();
		rendered += (trimsBefore ? before.trimEnd() : before) + (/^\/\*[^]*\*\/$/.test(action) ? '' : new Pipeline(action, functions).run());
		rest = rest.slice(start + length);
	}
	return rendered + (trimsNext ? rest.trimStart() : rest);
}

// Quotes hide what would end it.
const ACTION = /^\{\{((?:"(?:[^"\\\n]|\\.)*"|`[^`]*`|(?!\}\})[^"`])*)\}\}/;

function actionAt(text: string): [length: number, body: string] {
	const [whole, body] = ACTION.exec(text) ?? [];
	if (whole === undefined || body === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `template action ${JSON.stringify(text.slice(0, 100))} does not end`);
	}
	return [whole.length, body];
}

const WORD = /\s*(?:("(?:[^"\\\n]|\\.)*")|`([^`]*)`|([A-Za-z_]\w*)|([|()]))/y;

class Pipeline {
	readonly #action: string;
	readonly #functions: TemplateFunctions;
	#at = 0;

	constructor(action: string, functions: TemplateFunctions) {
		this.#action = action;
		this.#functions = functions;
	}

	run(): string {
		const value = this.#pipeline();
		if (this.#peek() !== undefined) {
			throw this.#bad();
		}
		return value;
	}

	#pipeline(): string {
		let value = this.#command([]);
		while (this.#peek()?.[4] === '|') {
			this.#take();
			value = this.#command([value]);
		}
		return value;
	}

	#command(last: readonly string[]): string {
		const [, , , name] = this.#peek() ?? [];
		if (name === undefined) {
			const value = this.#operand();
			if (last.length > 0 || this.#startsOperand()) {
				throw this.#bad();
			}
			return value;
		}
		this.#take();
		const values: string[] = [];
		while (this.#startsOperand()) {
			values.push(this.#operand());
		}
		return this.#call(name, [...values, ...last]);
	}

	#operand(): string {
		const [, quoted, raw, name, sign] = this.#peek() ?? [];
		this.#take();
		if (quoted !== undefined) {
			return unquote(quoted) ?? this.#fail();
		}
		if (raw !== undefined) {
			return raw;
		}
		if (name !== undefined) {
			return this.#call(name, []);
		}
		const value = sign === '(' ? this.#pipeline() : this.#fail();
		if (this.#peek()?.[4] !== ')') {
			throw this.#bad();
		}
		this.#take();
		return value;
	}

	#call(name: string, values: readonly string[]): string {
		const call = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined;
		if (call === undefined || call.length !== values.length) {
			throw new KeelsonError('INVALID_ARGUMENT', `template action ${JSON.stringify(this.#action)} calls ${name} with ${values.length} values, `
				+ (call === undefined ? `which is none of ${Object.keys(this.#functions).join(', ')}` : `which takes ${call.length}`));
		}
		return call(...values);
	}

	#startsOperand(): boolean {
		const word = this.#peek();
		return word !== undefined && word[4] !== '|' && word[4] !== ')';
	}

	#peek(): RegExpExecArray | undefined {
		WORD.lastIndex = this.#at;
		const word = WORD.exec(this.#action);
		if (word === null && this.#action.slice(this.#at).trim() !== '') {
			throw this.#bad();
		}
		return word ?? undefined;
	}

	#take(): void {
		this.#at += this.#peek()?.[0].length ?? this.#fail();
	}

	#bad(): KeelsonError {
		return new KeelsonError('INVALID_ARGUMENT', `template action ${JSON.stringify(this.#action)} is no call of a function with texts`);
	}

	#fail(): never {
		throw this.#bad();
	}
}

// Go's interpreted strings have more escapes than JSON's; those that differ are refused.
function unquote(literal: string): string | undefined {
	try {
		return String(JSON.parse(literal));
	} catch {
		return undefined;
	}
}
