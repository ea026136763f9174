import {timestampOf} from '../../api/convert/timestamp.ts';
import {MountsDefinition} from '../../api/gen/services/mounts/v1/mounts.ts';
import type {ActivationInfo} from '../../api/gen/types/mount.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Activation, Activations} from '../../contracts/mount-manager/mount-manager.ts';

/** `activationsFor` answers the activations that a call is about. Update is left out, as in containerd: it answers UNIMPLEMENTED. */
export function mountsService(activationsFor: (context: CallContext) => Activations): GrpcService {
	return grpcService(MountsDefinition, {
		async activate({name, mounts, labels, temporary}, context) {
			return {info: messageOf(await activationsFor(context).activate({name, mounts, labels, isTemporary: temporary}, context.signal))};
		},
		async deactivate({name}, context) {
			await activationsFor(context).deactivate(name);
			return {};
		},
		info: async ({name}, context) => ({info: messageOf(await activationsFor(context).info(name))}),
		async *list({filters}, context) {
			for (const activation of await activationsFor(context).list(filters)) {
				yield {info: messageOf(activation)};
			}
		},
	});
}

function messageOf({name, active, system, labels}: Activation): ActivationInfo {
	return {
		name,
		active: active.map(({mount, mountedAt, mountPoint, data}) => ({mount: {...mount, options: [...mount.options]}, mountedAt: timestampOf(mountedAt), mountPoint, data: {...data}})),
		system: system.map(mount => ({...mount, options: [...mount.options]})),
		labels: {...labels},
	};
}
