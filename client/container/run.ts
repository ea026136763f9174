import {randomBytes} from 'node:crypto';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {Any} from '../../api/gen/google/protobuf/any.ts';
import type {CallOptions} from '../channel.ts';
import {chainId} from '../image/chain-id.ts';
import type {ImageConfig} from '../image/image-config.ts';
import type {Images} from '../image/images.ts';
import {Lease} from '../lease.ts';
import type {Services} from '../services.ts';
import {readAccountFiles} from '../spec/account-files.ts';
import {containerSpec, type SpecOptions} from '../spec/container-spec.ts';
import type {Spec, SpecUser} from '../spec/spec.ts';
import {resolveUser} from '../spec/user.ts';
import {Container, STOP_SIGNAL_LABEL, gone} from './container.ts';
import {SPEC_TYPE, jsonAny} from './container-record.ts';
import {Process} from './process.ts';
import {Stdio, type StdioChoice} from './stdio.ts';

export interface RunOptions extends SpecOptions, Pick<CallOptions, 'signal'> {
	/** A name in the image store, already pulled and unpacked. */
	readonly image: string;
	/** Default: random. At most 76 letters, digits, `.`, `_` and `-`. */
	readonly id?: string;
	/** `user`, `uid`, `user:group` or `uid:gid`; default: what the image says, or root. */
	readonly user?: string;
	readonly labels?: Readonly<Record<string, string>>;
	/** Default `pipe`. */
	readonly stdio?: StdioChoice;
	/** `os/architecture/variant`; default: this machine's. */
	readonly platform?: string;
	/** Default `overlayfs`. */
	readonly snapshotter?: string;
	/** Default `io.containerd.runc.v2`. */
	readonly runtime?: {readonly name: string; readonly options?: Any};
	/** The last word on the spec. */
	readonly spec?: (spec: Spec) => Spec;
}

/** What `run` stands on. */
export interface RunRoom {
	readonly services: Services;
	readonly images: Images;
	readonly namespace: string;
}

/**
 * Makes a container of an image and starts it; resolves when its process runs. `signal` ends the start, not the container.
 * Rejects with NOT_FOUND (the image, or its unpacked layers), ALREADY_EXISTS (the id), INVALID_ARGUMENT (id, user, no command), and with
 * what the daemon rejected the start with; then nothing of the container is left.
 */
export async function run({services, images, namespace}: RunRoom, options: RunOptions): Promise<Process> {
	const {image, snapshotter = 'overlayfs', runtime = {name: 'io.containerd.runc.v2'}, labels = {}, tty = false, stdio: choice = 'pipe', signal} = options;
	const id = parseIdentifier(options.id ?? `c-${randomBytes(6).toString('hex')}`, 'container id');
	const container = new Container(services, id);
	const call: CallOptions = signal === undefined ? {} : {signal};

	// Until the container names the snapshot, only the lease keeps it from being collected.
	await using lease = await Lease.create(services, call);
	await using undo = new AsyncDisposableStack();
	const leased: CallOptions = {...call, lease: lease.id};

	const {config} = await images.inspect(image, {...call, ...(options.platform === undefined ? {} : {platform: options.platform})});
	const parent = chainId(config.diffIds) ?? '';
	const user = await userOf(services, {text: options.user ?? config.user, snapshotter, parent, id, call: leased});
	const made = containerSpec({namespace, id, config, user, options});
	const spec = options.spec?.(made) ?? made;

	const rootfs = await prepare(services, {snapshotter, key: id, parent, image, call: leased});
	undo.defer(async () => {
		await services.snapshots.remove({snapshotter, key: id}).catch(gone);
	});
	await services.containers.create({container: {
		id, image, snapshotter, snapshotKey: id, runtime,
		labels: {...stopSignal(config), ...labels},
		spec: jsonAny(SPEC_TYPE, spec),
	}}, leased);
	undo.defer(async () => {
		await services.containers.delete({id}).catch(gone);
	});
	const stdio = undo.use(await Stdio.open(choice, {tty, inputClosed: async () => {
		await services.tasks.closeIO({containerId: id, stdin: true}).catch(gone);
	}}));
	await services.tasks.create({containerId: id, rootfs, ...stdio.paths}, leased);
	undo.defer(async () => {
		await services.tasks.kill({containerId: id, signal: 9, all: true}).catch(gone);
		await services.tasks.delete({containerId: id}).catch(gone);
	});
	const {pid} = await services.tasks.start({containerId: id}, call);
	undo.move();
	return new Process({container, execId: '', pid, services, stdio, remove: async () => container.remove({force: true}).catch(gone)});
}

async function prepare(services: Services, {snapshotter, key, parent, image, call}: {
	readonly snapshotter: string;
	readonly key: string;
	readonly parent: string;
	readonly image: string;
	readonly call: CallOptions;
}): Promise<readonly {readonly type: string; readonly source: string; readonly target: string; readonly options: readonly string[]}[]> {
	try {
		return (await services.snapshots.prepare({snapshotter, key, parent}, call)).mounts;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			throw new KeelsonError('NOT_FOUND', `image ${image} is not unpacked in ${snapshotter}: pull it first (${error.message})`, {cause: error});
		}
		if (isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw new KeelsonError('ALREADY_EXISTS', `container id ${key} is taken (${error.message})`, {cause: error});
		}
		throw error;
	}
}

async function userOf(services: Services, {text, snapshotter, parent, id, call}: {
	readonly text: string;
	readonly snapshotter: string;
	readonly parent: string;
	readonly id: string;
	readonly call: CallOptions;
}): Promise<SpecUser> {
	return resolveUser(text, async () => {
		await using undo = new AsyncDisposableStack();
		const key = `${id}-accounts-${randomBytes(4).toString('hex')}`;
		const {mounts} = await services.snapshots.view({snapshotter, key, parent}, call);
		undo.defer(async () => {
			await services.snapshots.remove({snapshotter, key}).catch(gone);
		});
		return readAccountFiles(mounts, call.signal);
	});
}

// Nothing else of what an image calls labels is copied: some labels command daemons (CVE-2026-53488).
function stopSignal({stopSignal}: ImageConfig): Record<string, string> {
	return stopSignal === '' ? {} : {[STOP_SIGNAL_LABEL]: stopSignal};
}
