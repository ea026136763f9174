import {duplexPair} from 'node:stream';
import test from 'ava';
import {KeelsonError} from '../../kernel/errors.ts';
import {TtrpcClient} from '../../lib/ttrpc/client.ts';
import {TtrpcServer} from '../../lib/ttrpc/server.ts';
import {ttrpcClientFor, ttrpcService, type MessageCodec} from '../../lib/ttrpc/typed-service.ts';

interface Word {
	text: string;
	count: number;
}

// A codec of the shape that ts-proto generates, over JSON: what the bytes are is not this library's matter.
const Word: MessageCodec<Word> & {fromPartial(partial: Partial<Word>): Word} = {
	encode: message => ({finish: () => Buffer.from(JSON.stringify(message))}),
	decode: bytes => JSON.parse(Buffer.from(bytes).toString()) as Word,
	fromPartial: partial => ({text: '', count: 0, ...partial}),
};

const definition = {
	name: 'Words',
	fullName: 'test.Words',
	methods: {
		repeat: {name: 'Repeat', requestType: Word, requestStream: false, responseType: Word, responseStream: false, options: {}},
		spell: {name: 'Spell', requestType: Word, requestStream: false, responseType: Word, responseStream: true, options: {}},
		join: {name: 'Join', requestType: Word, requestStream: true, responseType: Word, responseStream: false, options: {}},
		shout: {name: 'Shout', requestType: Word, requestStream: true, responseType: Word, responseStream: true, options: {}},
		missing: {name: 'Missing', requestType: Word, requestStream: false, responseType: Word, responseStream: false, options: {}},
	},
} as const;

const service = ttrpcService(definition, {
	repeat: ({text, count}) => ({text: text.repeat(count)}),
	async* spell({text}) {
		for (const letter of text) {
			yield {text: letter};
		}
	},
	async join(words) {
		let text = '';
		for await (const word of words) {
			text += word.text;
		}
		return {text};
	},
	async* shout(words, {metadata}) {
		for await (const word of words) {
			yield {text: word.text.toUpperCase() + (metadata.get('mark')?.[0] ?? '')};
		}
	},
});

function connected(): {readonly client: TtrpcClient; readonly server: TtrpcServer} {
	const [left, right] = duplexPair();
	const server = new TtrpcServer({services: [service]});
	void server.serve(right);
	return {client: new TtrpcClient(left), server};
}

test('generated definitions make clients and services of all four kinds', async t => {
	const {client, server} = connected();
	await using _server = server;
	await using _client = client;
	const words = ttrpcClientFor(definition, client);
	t.deepEqual(await words.repeat({text: 'ab', count: 2}), {text: 'abab', count: 0});
	t.deepEqual(await Array.fromAsync(words.spell({text: 'xyz'}), ({text}) => text), ['x', 'y', 'z']);
	t.is((await words.join([{text: 'a'}, {text: 'b'}])).text, 'ab');
	t.deepEqual(await Array.fromAsync(words.shout([{text: 'a'}, {text: 'b'}], {metadata: {mark: '!'}}), ({text}) => text), ['A!', 'B!']);
	await t.throwsAsync(words.missing({}), {code: 'UNIMPLEMENTED'});
});

test('what the caller\'s own requests throw fails the call', async t => {
	const {client, server} = connected();
	await using _server = server;
	await using _client = client;
	const words = ttrpcClientFor(definition, client);
	async function* broken(): AsyncGenerator<Partial<Word>> {
		yield {text: 'a'};
		throw new KeelsonError('DATA_LOSS', 'own failure');
	}
	await t.throwsAsync(words.join(broken()), {code: 'DATA_LOSS', message: 'own failure'});
	t.is((await words.repeat({text: 'on', count: 1})).text, 'on');
});

test('a request that cannot be decoded is an invalid argument', async t => {
	const {client, server} = connected();
	await using _server = server;
	await using _client = client;
	await t.throwsAsync(client.unary({service: 'test.Words', method: 'Repeat', payload: Buffer.from('{')}), {code: 'INVALID_ARGUMENT'});
});
