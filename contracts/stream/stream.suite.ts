import type {ExecutionContext, TestFn} from 'ava';
import type {Any} from '../oci/any.ts';
import type {StreamManager} from './stream.ts';

export interface StreamSubject {
	readonly name: string;
	create(): StreamManager & AsyncDisposable;
}

/** Every stream manager passes this. */
export function streamSuite(test: TestFn, {name, create}: StreamSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, manager: StreamManager) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using manager = create();
			await tell(t, manager);
		});
	};

	story('what one end sends, the other receives, both ways, in order', async (t, manager) => {
		await using outer = await manager.create('n', 's');
		await using inner = await manager.get('n', 's');
		await outer.send(message('a'));
		await outer.send(message('b'));
		await inner.send(message('c'));
		t.deepEqual([await inner.receive(), await inner.receive(), await outer.receive()], [message('a'), message('b'), message('c')]);
	});

	story('an id is taken once in a namespace, and free again at its end', async (t, manager) => {
		const first = await manager.create('n', 's');
		await t.throwsAsync(manager.create('n', 's'), {code: 'ALREADY_EXISTS'});
		await using other = await manager.create('m', 's');
		t.is(other.id, 's');
		await first[Symbol.asyncDispose]();
		await using again = await manager.create('n', 's');
		t.is(again.id, 's');
	});

	story('a stream that is just being opened is waited for', async (t, manager) => {
		const waiting = manager.get('n', 'soon');
		await using outer = await manager.create('n', 'soon');
		t.is((await waiting).id, outer.id);
	});

	story('a wait ends with its signal', async (t, manager) => {
		await t.throwsAsync(manager.get('n', 'never', soon()));
		await using outer = await manager.create('n', 's');
		await t.throwsAsync(outer.receive(soon()));
	});

	story('the end of one side is the end for the other, after what was sent', async (t, manager) => {
		const outer = await manager.create('n', 's');
		const inner = await manager.get('n', 's');
		await outer.send(message('last'));
		await outer[Symbol.asyncDispose]();
		t.deepEqual(await inner.receive(), message('last'));
		t.is(await inner.receive(), undefined);
		await t.throwsAsync(inner.send(message('late')), {code: 'UNAVAILABLE'});
	});

	story('what was sent whole before anybody asked for it can still be had, once', async (t, manager) => {
		const outer = await manager.create('n', 's');
		await outer.send(message('all'));
		await outer[Symbol.asyncDispose]();
		const inner = await manager.get('n', 's');
		t.deepEqual([await inner.receive(), await inner.receive()], [message('all'), undefined]);
		await t.throwsAsync(manager.get('n', 's', soon()));
	});

	story('a sender waits for a receiver that is slow', async (t, manager) => {
		await using outer = await manager.create('n', 's');
		await using inner = await manager.get('n', 's');
		let sent = 0;
		const sending = (async () => {
			for (; sent < 1000; sent++) {
				await outer.send(message(String(sent)));
			}
		})();
		await new Promise(resolve => {
			setTimeout(resolve, 50);
		});
		t.true(sent < 1000);
		for (let received = 0; received < 1000; received++) {
			t.deepEqual(await inner.receive(), message(String(received)));
		}
		await sending;
	});
}

/** Not AbortSignal.timeout: its timer does not keep the test's process alive. */
function soon(): AbortSignal {
	const controller = new AbortController();
	setTimeout(() => {
		controller.abort();
	}, 50);
	return controller.signal;
}

function message(text: string): Any {
	return {typeUrl: 'test.Message', value: Buffer.from(text)};
}
