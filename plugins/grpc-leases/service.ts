import {timestampOf} from '../../api/convert/timestamp.ts';
import {LeasesDefinition, type Lease, type Resource} from '../../api/gen/services/leases/v1/leases.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {LeaseInfo, LeaseResource, LeaseStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** `leasesFor` answers the leases that a call is about. */
export function leasesService(leasesFor: (context: CallContext) => LeaseStore): GrpcService {
	return grpcService(LeasesDefinition, {
		create: async ({id, labels}, context) => ({lease: messageOf(await leasesFor(context).create({id, labels}))}),
		async delete({id, sync}, context) {
			await leasesFor(context).delete(id, {sync});
			return {};
		},
		list: async ({filters}, context) => ({leases: (await leasesFor(context).list(filters)).map(messageOf)}),
		async addResource({id, resource}, context) {
			await leasesFor(context).add(id, resourceOf(resource));
			return {};
		},
		async deleteResource({id, resource}, context) {
			await leasesFor(context).remove(id, resourceOf(resource));
			return {};
		},
		async listResources({id}, context) {
			return {resources: await leasesFor(context).resources(id)};
		},
	});
}

function messageOf({id, createdAt, labels}: LeaseInfo): Lease {
	return {id, createdAt: timestampOf(createdAt), labels: {...labels}};
}

function resourceOf(resource: Resource | undefined): LeaseResource {
	if (resource === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request about a resource of a lease has none in it');
	}
	return resource;
}
