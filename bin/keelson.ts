import {enableCompileCache} from 'node:module';

// Not in Node's own place: that is below /tmp, where anybody could put what root would then run.
if (process.getuid?.() === 0) {
	enableCompileCache('/var/cache/keelson/compiled');
}
const {main} = await import('../client/command/main.ts');

// What reads us may stop at any line (`keelson images | head -1`).
for (const stream of [process.stdout, process.stderr]) {
	stream.on('error', () => undefined);
}

const status = await main(process.argv.slice(2));
// A pipe takes its time: exit only when all is written.
process.stdout.write('', () => process.stderr.write('', () => process.exit(status)));
