/** The only file that knows tsyringe, which does not load before its polyfill. */

import 'reflect-metadata';
import {container as shared, type DependencyContainer} from 'tsyringe';

export {instanceCachingFactory as once} from 'tsyringe';
export type {DependencyContainer as Container} from 'tsyringe';

/** A container with no parent: what somebody registers in the process's shared one does not show in it. */
export function emptyContainer(): DependencyContainer {
	return new (shared.constructor as new () => DependencyContainer)();
}
