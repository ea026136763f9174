/** Diffs over gRPC. */

import {z} from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {all, definePlugin, KeelsonError, one} from '../../kernel/index.ts';
import {diffService} from './service.ts';

const config = z.strictObject({
	default: z.array(z.string()).min(1).default(['walking']).describe('differs in the order in which they are asked, by the last part of their id'),
	sync_fs: z.boolean().default(false).describe('each layer is on disk before Apply answers'),
});

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.diff',
	provides: GrpcService,
	requires: {metadata: one(Metadata), differs: all(Differ)},
	config,
	aliases: ['io.containerd.service.v1.diff-service'],

	init({config: {default: order, sync_fs: syncFs}, services: {metadata, differs}}) {
		const ordered = order.map(name => {
			const differ = differs.get(name);
			if (differ === undefined) {
				throw new KeelsonError('NOT_FOUND', `differ ${JSON.stringify(name)} is not loaded, there are: ${[...differs.keys()].join(', ') || 'none'}`);
			}
			return differ;
		});
		return diffService({differs: ordered, syncFs, contentFor: context => metadata.scope(scopeOf(context)).content});
	},
});
