/**
 * Sandboxes: places that containers share, and whoever runs them.
 *
 * A *sandbox* is made from a record of the metadata, started, and holds containers whose records name it; their tasks run in what the
 * sandbox runs in. A *controller* runs sandboxes in its own way (`sandboxer` in the record names it): ours, `shim`, gives each a shim.
 *
 *     create ─► start ─► (containers come and go) ─► stop ─► shutdown
 *
 * A sandbox goes on when this daemon does not.
 */

import {contract} from '../../kernel/contract.ts';
import type {Any} from '../oci/any.ts';
import type {Mount} from '../oci/mount.ts';
import type {Platform} from '../oci/platform.ts';

export interface CreateSandbox {
	readonly id: string;
	/** A runtime's name or path; empty: the controller's own default. */
	readonly runtime: {readonly name: string; readonly options?: Any};
	/** Kept as it is for the runtime. */
	readonly spec?: Any;
	readonly rootfs: readonly Mount[];
	readonly options?: Any;
	/** Of a network namespace that the sandbox is to have; empty: none. */
	readonly netnsPath: string;
	readonly annotations: Readonly<Record<string, string>>;
}

/** A sandbox's record as it is to be. */
export interface UpdateSandbox {
	readonly runtime: CreateSandbox['runtime'];
	readonly spec?: Any;
	readonly labels: Readonly<Record<string, string>>;
	readonly extensions: Readonly<Record<string, Any>>;
}

/** Where containers of a sandbox are made: a task service. */
export interface SandboxAddress {
	readonly address: string;
	/** Of the task protocol. */
	readonly version: number;
}

export interface StartedSandbox extends SandboxAddress {
	readonly pid: number;
	readonly createdAt: Date;
	readonly spec?: Any;
}

export interface SandboxStatus extends SandboxAddress {
	readonly pid: number;
	/** The runtime's own word; `SANDBOX_NOTREADY` where it is gone. */
	readonly state: string;
	readonly info: Readonly<Record<string, string>>;
	readonly createdAt?: Date;
	readonly exitedAt?: Date;
	readonly extra?: Any;
}

export interface SandboxExit {
	/** 255 where nobody can know any more. */
	readonly exitStatus: number;
	readonly exitedAt: Date;
}

/** The sandboxes of one namespace. Every method but `create` rejects with NOT_FOUND when there is no such sandbox, and with what its runtime says. */
export interface Sandboxes {
	/** Rejects with ALREADY_EXISTS, NOT_FOUND (runtime), UNIMPLEMENTED (a runtime that has none); on failure nothing is left. */
	create(sandbox: CreateSandbox, signal?: AbortSignal): Promise<void>;
	start(id: string, signal?: AbortSignal): Promise<StartedSandbox>;
	platform(id: string, signal?: AbortSignal): Promise<Platform>;
	/** Ends what runs in it, after `timeoutMs` by force. One that is gone has stopped. */
	stop(id: string, timeoutMs: number, signal?: AbortSignal): Promise<void>;
	/** Resolves when it has ended, at once when it has already; as often as asked. */
	wait(id: string, signal?: AbortSignal): Promise<SandboxExit>;
	status(id: string, isVerbose: boolean, signal?: AbortSignal): Promise<SandboxStatus>;
	/** Takes away all that there is of it. */
	shutdown(id: string, signal?: AbortSignal): Promise<void>;
	/** Asks whoever runs it to follow a change of its record; `fields` names what has changed, all of it when empty. One that cannot follow says nothing. */
	update(id: string, sandbox: UpdateSandbox, fields: readonly string[], signal?: AbortSignal): Promise<void>;
	/** What it uses; without `data` where its runtime does not say. Rejects with UNIMPLEMENTED where it cannot be asked. */
	metrics(id: string, signal?: AbortSignal): Promise<{readonly timestamp: Date; readonly data?: Any}>;
}

export interface SandboxController {
	sandboxes(namespace: string): Sandboxes;
}

export const SandboxController = contract('io.containerd.sandbox.controller.v1').for<SandboxController>();
