/** The only file that knows tsyringe, which does not load before its polyfill. */

import 'reflect-metadata';

export {instanceCachingFactory as once} from 'tsyringe';
export type {DependencyContainer as Container} from 'tsyringe';
