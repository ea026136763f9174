/** `keelson/testing`: what every implementation of a contract passes, ours and a stranger's. Each takes ava's `test` and a subject. */

export {contentSuite, type ContentSubject} from './content/content.suite.ts';
export {copySuite, type CopySubject} from './copy/copy.suite.ts';
export {diffSuite} from './diff/diff.suite.ts';
export type {DifferSubject} from './diff/diff-subject.suite.ts';
export {eventSuite, type EventSubject} from './event/event.suite.ts';
export {fetchSuite, type FetchHouse, type FetchSubject} from './fetch/fetch.suite.ts';
export {metadataSuite, type MetadataSubject} from './metadata/metadata.suite.ts';
export {mountManagerSuite, type MountStage, type MountSubject} from './mount-manager/mount-manager.suite.ts';
export {metricsSuite, type MetricSubject} from './metrics/metrics.suite.ts';
export {networkNamespacesSuite, type NamespacesSubject} from './network/network-namespaces.suite.ts';
export {networkSuite, type NetworkSubject} from './network/network.suite.ts';
export {ociRuntimeSuite, type RuntimeStage} from './oci-runtime/oci-runtime.suite.ts';
export {sandboxSuite, type SandboxStage, type SandboxSubject} from './sandbox/sandbox.suite.ts';
export {snapshotSuite, type SnapshotterSubject, type SnapshotterSupports} from './snapshot/snapshot.suite.ts';
export {streamSuite, type StreamSubject} from './stream/stream.suite.ts';
export {taskSuite, type SpecChange, type TaskStage, type TaskSubject} from './task/task.suite.ts';
export {transferSuite, type TransferHouse, type TransferSubject} from './transfer/transfer.suite.ts';
