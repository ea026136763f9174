const NAMES: Readonly<Record<string, string>> = {
	// Of format 2, renamed in 3.
	'io.containerd.internal.v1.restart': 'io.containerd.monitor.container.v1.restart',
	'io.containerd.monitor.v1.cgroups': 'io.containerd.monitor.task.v1.cgroups',
	// Of format 1.
	aufs: 'io.containerd.snapshotter.v1.aufs',
	bolt: 'io.containerd.metadata.v1.bolt',
	btrfs: 'io.containerd.snapshotter.v1.btrfs',
	cgroups: 'io.containerd.monitor.task.v1.cgroups',
	cri: 'io.containerd.grpc.v1.cri',
	devmapper: 'io.containerd.snapshotter.v1.devmapper',
	linux: 'io.containerd.runtime.v1.linux',
	native: 'io.containerd.snapshotter.v1.native',
	opt: 'io.containerd.internal.v1.opt',
	otlp: 'io.containerd.tracing.processor.v1.otlp',
	overlayfs: 'io.containerd.snapshotter.v1.overlayfs',
	restart: 'io.containerd.monitor.container.v1.restart',
	scheduler: 'io.containerd.gc.v1.scheduler',
	task: 'io.containerd.runtime.v2.task',
	tracing: 'io.containerd.internal.v1.tracing',
	zfs: 'io.containerd.snapshotter.v1.zfs',
};

/** What containerd's newest format of config.toml calls a plugin that its first had by one word, or its second by another id. Words that nobody had are services'. */
export function newestPluginName(name: string): string {
	if (Object.hasOwn(NAMES, name)) {
		return NAMES[name] ?? name;
	}
	return name.includes('.') ? name : name.endsWith('-service') ? `io.containerd.service.v1.${name}` : `io.containerd.grpc.v1.${name}`;
}
