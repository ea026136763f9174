import {z} from 'zod';
import {parseDuration} from '../../../lib/duration/duration.ts';

const duration = z.string().refine(value => parseDuration(value) !== undefined, {error: 'expected a duration such as "100ms"'});

/** containerd's keys and their defaults. */
export const schedulerConfig = z.strictObject({
	pause_threshold: z.number().min(0).max(0.5).default(0.02).describe('share of the time that collecting may take, which sets how long it rests in between'),
	deletion_threshold: z.int().min(0).default(0).describe('deletions after which a collection is due at once; 0: deletions wait for the rest to be over'),
	mutation_threshold: z.int().min(0).default(100).describe('changes after which a collection is due, provided that something was deleted; 0: changes do not count'),
	schedule_delay: duration.default('0s').describe('time between a collection being due and its beginning'),
	startup_delay: duration.default('100ms').describe('time between the start of the daemon and the first collection'),
});

export type SchedulerConfig = z.output<typeof schedulerConfig>;
