import {HealthCheckResponse_ServingStatus as ServingStatus, HealthDefinition} from '../../api/gen/grpc/health/v1/health.ts';
import {grpcService, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** The health protocol: whoever can ask is served, and only the daemon as a whole (an empty name) is known. */
export function healthService(): GrpcService {
	return grpcService(HealthDefinition, {
		async check({service}) {
			if (service !== '') {
				throw new KeelsonError('NOT_FOUND', `unknown service ${JSON.stringify(service.slice(0, 200))}`);
			}
			return {status: ServingStatus.SERVING};
		},
		async *watch({service}, {signal}) {
			yield {status: service === '' ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN};
			// Nothing changes until the daemon stops, and then the call is cut.
			await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		},
	});
}
