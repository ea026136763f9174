/**
 * A typed client for keelson, and for any daemon that speaks containerd's API.
 *
 *     import {text} from 'node:stream/consumers';
 *     import {connect} from 'keelson/client';
 *
 *     using client = connect('/run/keelson/keelson.sock', {namespace: 'default'});
 *     await client.images.pull('registry.example/app:1', {onProgress: ({name, event}) => console.log(name, event)});
 *
 *     await using hello = await client.run({image: 'registry.example/app:1', args: ['echo', 'hello']});
 *     const [output, {exitCode}] = await Promise.all([text(hello.stdout!), hello.wait()]);
 *
 * Whatever rejects, rejects with a KeelsonError that has one of gRPC's codes. `client.services` has each service of the API as it is on
 * the wire: a promise for one answer, an async iterable for many.
 */

export {KeelsonError, isKeelsonError, type ErrorCode} from '../kernel/errors.ts';
export type {CallOptions, ChannelOptions} from './channel.ts';
export {Client, connect} from './connect.ts';
export {type ContainerRecord, type TaskRecord, type TaskStatus} from './container/container-record.ts';
export {Container, type ExecOptions, type StopOptions} from './container/container.ts';
export type {FilesOptions, ReadFilesOptions} from './container/files.ts';
export type {LogsOptions} from './container/logs.ts';
export type {OutputLine} from './container/output-lines.ts';
export {Process, type Exit} from './container/process.ts';
export type {RunOptions} from './container/run.ts';
export type {StdioChoice} from './container/stdio.ts';
export type {DaemonEvent} from './events.ts';
export type {ExportOptions, ImportOptions} from './image/archive.ts';
export {chainId} from './image/chain-id.ts';
export type {ImageConfig} from './image/image-config.ts';
export {Images, type Image, type ImageOptions, type ImageParts} from './image/images.ts';
export {LayoutWriter, readLayout} from './image/layout-directory.ts';
export type {Manifest} from './image/manifest.ts';
export type {TransferProgress} from './image/progress-stream.ts';
export type {PullOptions} from './image/pull.ts';
export {Lease} from './lease.ts';
export {readBlob, readDocument} from './read-blob.ts';
export type {Services} from './services.ts';
export type {SpecOptions} from './spec/container-spec.ts';
export {defaultSpec} from './spec/default-spec.ts';
export type {Spec, SpecMount, SpecProcess, SpecUser} from './spec/spec.ts';
export type {MethodStub, Stub} from './stub.ts';
