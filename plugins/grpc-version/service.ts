import {VersionDefinition} from '../../api/gen/services/version/v1/version.ts';
import {grpcService, type GrpcService} from '../../contracts/grpc/grpc.ts';

export function versionService({version, revision}: {readonly version: string; readonly revision: string}): GrpcService {
	return grpcService(VersionDefinition, {
		version: async () => ({version, revision}),
	});
}
