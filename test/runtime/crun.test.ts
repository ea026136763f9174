import anyTest, {type TestFn} from 'ava';
import {ociRuntimeSuite} from '../../contracts/oci-runtime/oci-runtime.suite.ts';
import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {Reaper} from '../../plugins/shim/process/reaper.ts';
import {CommandLineStage} from './runtime-stage.ts';

const reaper = new Reaper();
const directory = await mkdtemp(path.join(tmpdir(), 'keelson-crun-'));
const crun = path.join(directory, 'crun');
// crun refuses cgroup v1 with a second hierarchy that has controllers: it is run where that one is not mounted.
await writeFile(crun, '#!/bin/sh\nexec unshare -m sh -c \'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec crun "$@"\' crun "$@"\n');
await chmod(crun, 0o755);
anyTest.after.always(async () => rm(directory, {recursive: true, force: true}));

ociRuntimeSuite(anyTest.serial as TestFn, {name: 'crun', open: async () => CommandLineStage.open(crun, reaper)});
