import type {TtrpcService, UnaryMethod} from '../../../lib/ttrpc/service.ts';

/** A service whose code is loaded when it is first called: most shims never are asked for it, and each would pay for it. */
export function lazyService(name: string, methods: readonly string[], load: () => Promise<TtrpcService>): TtrpcService {
	let loading: Promise<TtrpcService> | undefined;
	const handlers = methods.map((method): [string, UnaryMethod] => [method, {
		handle: async (payload, context) => {
			loading ??= load();
			const {methods: {[method]: found}} = await loading;
			if (found === undefined || !('handle' in found)) {
				throw new TypeError(`${name} has no method ${method} that takes one message`);
			}
			return found.handle(payload, context);
		},
	}]);
	return {name, methods: Object.fromEntries(handlers)};
}
