import test from 'ava';
import {CreateContainerRequest, UpdateContainerRequest} from '../../api/gen/services/containers/v1/containers.ts';
import {WriteAction, WriteContentRequest} from '../../api/gen/services/content/v1/content.ts';
import {BootstrapParams, LogLevel} from '../../api/gen/runtime/bootstrap/v1/bootstrap.ts';
import {TaskExit} from '../../api/gen/events/task.ts';
import {Envelope} from '../../api/gen/types/event.ts';
import {Metrics} from '../../api/gen/cgroups/cgroup1/metrics.ts';

test('a message is the bytes that its description gives by hand', t => {
	const bytes = Buffer.from([
		0x0a, 0x02, 0x63, 0x31, // 1, text: c1
		0x12, 0x01, 0x65, // 2, text: e
		0x18, 0xac, 0x02, // 3, number: 300
		0x20, 0x89, 0x01, // 4, number: 137
		0x2a, 0x0c, // 5, a message of twelve bytes
		0x08, 0x80, 0xf4, 0xda, 0xac, 0x06, //   1, number: 1 704 376 832
		0x10, 0xff, 0x93, 0xeb, 0xdc, 0x03, //   2, number: 999 999 999
	]);
	const exit = {containerId: 'c1', id: 'e', pid: 300, exitStatus: 137, exitedAt: {seconds: 1_704_376_832n, nanos: 999_999_999}};

	t.deepEqual(Buffer.from(TaskExit.encode(exit).finish()), bytes);
	t.deepEqual(TaskExit.decode(bytes), exit);
});

test('a timestamp keeps its nanoseconds, before 1970 too', t => {
	for (const timestamp of [{seconds: 1n, nanos: 1}, {seconds: -62_135_596_800n, nanos: 999_999_999}, {seconds: 0n, nanos: 0}]) {
		t.deepEqual(Envelope.decode(Envelope.encode(Envelope.fromPartial({timestamp})).finish()).timestamp, timestamp);
	}
	t.is(Envelope.decode(Envelope.encode(Envelope.fromPartial({})).finish()).timestamp, undefined);
});

test('an Any and a map come back as they were', t => {
	const container = {
		id: 'c', labels: {a: 'b', '': 'empty key', 'é/ü': ''}, image: '', snapshotter: '', snapshotKey: '', sandbox: '',
		runtime: {name: 'io.containerd.runc.v2', options: undefined},
		spec: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Uint8Array.of(0x7b, 0x7d)},
		createdAt: undefined, updatedAt: undefined,
		extensions: {x: {typeUrl: 'x', value: new Uint8Array()}},
	};

	t.deepEqual(CreateContainerRequest.decode(CreateContainerRequest.encode({container}).finish()), {container});
});

test('a 64-bit number above what a double holds is kept', t => {
	const sent = WriteContentRequest.fromPartial({action: WriteAction.COMMIT, total: 2n ** 53n + 1n, offset: -1n});
	const {action, total, offset} = WriteContentRequest.decode(WriteContentRequest.encode(sent).finish());
	const limit = {memory: {usage: {limit: 2n ** 64n - 1n}}};

	t.deepEqual([action, total, offset], [2, 2n ** 53n + 1n, -1n]);
	t.is(Metrics.decode(Metrics.encode(Metrics.fromPartial(limit)).finish()).memory?.usage?.limit, 2n ** 64n - 1n);
	t.throws(() => WriteContentRequest.encode({...sent, total: 2n ** 63n}), {message: /too large/});
});

test('an optional field tells unset from empty', t => {
	const decode = (params: BootstrapParams): BootstrapParams => BootstrapParams.decode(BootstrapParams.encode(params).finish());

	t.is(decode(BootstrapParams.fromPartial({})).socketDir, undefined);
	t.is(decode(BootstrapParams.fromPartial({socketDir: ''})).socketDir, '');
	t.is(decode(BootstrapParams.fromPartial({logLevel: LogLevel.LOG_LEVEL_TRACE})).logLevel, -8);
});

test('a field mask is a list of paths, and unset is not the empty list', t => {
	const decode = (updateMask: string[] | undefined): readonly string[] | undefined =>
		UpdateContainerRequest.decode(UpdateContainerRequest.encode({container: undefined, updateMask}).finish()).updateMask;

	t.deepEqual(decode(['labels.a', 'spec']), ['labels.a', 'spec']);
	t.deepEqual(decode([]), []);
	t.is(decode(undefined), undefined);
});

test('a field and an enum value of a newer client are passed over or kept as a number', t => {
	t.deepEqual(TaskExit.decode(Uint8Array.of(0xfa, 0x3f, 0x01, 0x2a, 0x18, 0x07)), TaskExit.fromPartial({pid: 7}));
	const action: number = WriteContentRequest.decode(Uint8Array.of(0x08, 0x63)).action;
	t.is(action, 99);
});

test('bytes that end in the middle of a message are refused', t => {
	const bytes = TaskExit.encode(TaskExit.fromPartial({containerId: 'container'})).finish();

	t.throws(() => TaskExit.decode(bytes.subarray(0, 6)));
	t.throws(() => TaskExit.decode(Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)));
});
