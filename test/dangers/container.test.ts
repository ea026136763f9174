import test from 'ava';
import {keelson} from '../helpers/keelson-program.ts';
import {image, layer, pushImage} from '../helpers/oci-image.ts';
import {busyboxEntries} from '../helpers/test-images.ts';
import {tar} from '../helpers/tar-writer.ts';
import {ClientRoom} from '../client/client-room.ts';

/** What went wrong elsewhere between an image and the container that is made of it: docs/dangers.md names these tests. */
let room: ClientRoom;
let evil: string;

test.before(async () => {
	room = await ClientRoom.open(keelson(), 'dangers');
	const made = image([layer(tar(await busyboxEntries()))], {
		Cmd: ['/bin/sh', '-c', 'env'], Env: ['SHARED=image'],
		Labels: {'containerd.io/restart.status': 'running', 'containerd.io/restart.loguri': 'binary:///bin/touch?/tmp/keelson-was-here', 'io.cri-containerd.kind': 'sandbox', 'harmless': 'yes'},
	});
	evil = await pushImage(room.registry, 'evil', 'latest', made);
	await room.client.images.pull(evil, {plainHttp: true});
});

test.after.always(async () => {
	await room?.close();
});

async function printed(stream: AsyncIterable<Uint8Array> | undefined): Promise<string> {
	return stream === undefined ? '' : Buffer.concat(await Array.fromAsync(stream)).toString();
}

test.serial('CVE-2026-53488: a container has no label that its image, and not its client, wrote', async t => {
	await using process = await room.client.run({image: evil, id: 'labelled', labels: {mine: 'yes'}});
	await Promise.all([printed(process.stdout), process.wait()]);
	const {labels} = (await room.client.services.containers.get({id: 'labelled'})).container ?? {labels: {}};
	t.deepEqual(labels, {mine: 'yes'});
});

test.serial('CVE-2021-21334: containers of one image do not see each other\'s environment', async t => {
	const run = async (name: string): Promise<string> => {
		await using process = await room.client.run({image: evil, env: [`${name}=secret`]});
		const [text] = await Promise.all([printed(process.stdout), process.wait()]);
		return text;
	};
	const [one, two, three] = await Promise.all([run('ONE'), run('TWO'), run('THREE')]);
	t.regex(one ?? '', /^ONE=secret$/m);
	for (const text of [one, two, three]) {
		t.is(text?.match(/=secret$/gm)?.length, 1, text);
		t.regex(text ?? '', /^SHARED=image$/m);
	}
});

test.serial('CVE-2024-21626: neither a container nor an exec has a descriptor that its maker had open', async t => {
	const listing = ['/bin/sh', '-c', 'exec /bin/ls /proc/self/fd'];
	// The last is its own reading of the directory.
	const expected = ['0', '1', '2', '3', ''];
	await using holder = await room.client.run({image: evil, id: 'holder', args: ['/bin/sh', '-c', 'exec sleep 100'], stdio: 'none'});
	await using process = await room.client.run({image: evil, args: listing});
	const [text] = await Promise.all([printed(process.stdout), process.wait()]);
	t.deepEqual(text.split('\n'), expected);
	await using exec = await holder.container.exec({args: listing});
	const [said] = await Promise.all([printed(exec.stdout), exec.wait()]);
	t.deepEqual(said.split('\n'), expected);
});
