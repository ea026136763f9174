export {once, type Container} from './container.ts';
export {contract, type Contract, type ContractType, type ServiceOf} from './contract.ts';
export {KeelsonError, isKeelsonError, type ErrorCode} from './errors.ts';
export type {LogFields, LogLevel, Logger} from './log.ts';
export {definePlugin, definePlugins, type DaemonFacts, type InitContext, type Plugin, type PluginId, type PluginMaker, type Refuse} from './plugin.ts';
export {all, maybe, one, type Answers, type Requirement} from './requirement.ts';
export type {KernelStatus, PluginStatus} from './status.ts';
