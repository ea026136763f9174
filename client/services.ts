import {ContainersDefinition} from '../api/gen/services/containers/v1/containers.ts';
import {ContentDefinition} from '../api/gen/services/content/v1/content.ts';
import {DiffDefinition} from '../api/gen/services/diff/v1/diff.ts';
import {EventsDefinition} from '../api/gen/services/events/v1/events.ts';
import {ImagesDefinition} from '../api/gen/services/images/v1/images.ts';
import {IntrospectionDefinition} from '../api/gen/services/introspection/v1/introspection.ts';
import {LeasesDefinition} from '../api/gen/services/leases/v1/leases.ts';
import {MountsDefinition} from '../api/gen/services/mounts/v1/mounts.ts';
import {NamespacesDefinition} from '../api/gen/services/namespaces/v1/namespace.ts';
import {ControllerDefinition, StoreDefinition} from '../api/gen/services/sandbox/v1/sandbox.ts';
import {SnapshotsDefinition} from '../api/gen/services/snapshots/v1/snapshots.ts';
import {StreamingDefinition} from '../api/gen/services/streaming/v1/streaming.ts';
import {TasksDefinition} from '../api/gen/services/tasks/v1/tasks.ts';
import {TransferDefinition} from '../api/gen/services/transfer/v1/transfer.ts';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import type {Channel} from './channel.ts';
import {stub, type Stub} from './stub.ts';

/** Every service of the API, by containerd's name for it. A daemon that lacks one answers UNIMPLEMENTED. */
export interface Services {
	readonly containers: Stub<typeof ContainersDefinition>;
	readonly content: Stub<typeof ContentDefinition>;
	readonly diff: Stub<typeof DiffDefinition>;
	readonly events: Stub<typeof EventsDefinition>;
	readonly images: Stub<typeof ImagesDefinition>;
	readonly introspection: Stub<typeof IntrospectionDefinition>;
	readonly leases: Stub<typeof LeasesDefinition>;
	readonly mounts: Stub<typeof MountsDefinition>;
	readonly namespaces: Stub<typeof NamespacesDefinition>;
	readonly sandboxController: Stub<typeof ControllerDefinition>;
	readonly sandboxStore: Stub<typeof StoreDefinition>;
	readonly snapshots: Stub<typeof SnapshotsDefinition>;
	readonly streaming: Stub<typeof StreamingDefinition>;
	readonly tasks: Stub<typeof TasksDefinition>;
	readonly transfer: Stub<typeof TransferDefinition>;
	readonly version: Stub<typeof VersionDefinition>;
}

export function servicesOf(channel: Channel): Services {
	return {
		containers: stub(channel, ContainersDefinition),
		content: stub(channel, ContentDefinition),
		diff: stub(channel, DiffDefinition),
		events: stub(channel, EventsDefinition),
		images: stub(channel, ImagesDefinition),
		introspection: stub(channel, IntrospectionDefinition),
		leases: stub(channel, LeasesDefinition),
		mounts: stub(channel, MountsDefinition),
		namespaces: stub(channel, NamespacesDefinition),
		sandboxController: stub(channel, ControllerDefinition),
		sandboxStore: stub(channel, StoreDefinition),
		snapshots: stub(channel, SnapshotsDefinition),
		streaming: stub(channel, StreamingDefinition),
		tasks: stub(channel, TasksDefinition),
		transfer: stub(channel, TransferDefinition),
		version: stub(channel, VersionDefinition),
	};
}
