import {once} from 'node:events';
import {connect, createServer, type AddressInfo, type Server, type Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';

/**
 * A way to a server on loopback on which everything takes its time: bytes the given milliseconds each way, and what a client sends first as long again both ways,
 * which is what the handshake of TCP takes that a proxy answers at once. Bandwidth is what it is. For kernels without netem.
 */
export class FarLink implements AsyncDisposable {
	/** Connections since it stands. */
	connections = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	private constructor(server: Server) {
		this.#server = server;
	}

	/** @param host `127.0.0.1:5000` */
	static async open(host: string, delayMs: number): Promise<FarLink> {
		const {hostname, port} = new URL(`tcp://${host}`);
		const server = createServer({noDelay: true});
		const link = new FarLink(server);
		server.on('connection', near => {
			link.connections++;
			const far = connect({host: hostname, port: Number(port), noDelay: true});
			const stands = sleep(2 * delayMs);
			link.#carry(near, far, {delayMs, from: stands});
			link.#carry(far, near, {delayMs, from: stands});
		});
		server.listen(0, '127.0.0.1');
		await once(server, 'listening');
		return link;
	}

	get host(): string {
		return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.close();
		for (const socket of this.#sockets) {
			socket.destroy();
		}
		await once(this.#server, 'close');
	}

	#carry(source: Socket, target: Socket, {delayMs, from}: {readonly delayMs: number; readonly from: Promise<void>}): void {
		this.#sockets.add(source);
		const later = (work: () => void): void => void from.then(() => setTimeout(work, delayMs));
		source.on('data', (bytes: Buffer) => later(() => {
			if (target.writable) {
				target.write(bytes);
			}
		}));
		source.on('end', () => later(() => target.end()));
		source.on('error', () => target.destroy());
		source.on('close', () => {
			this.#sockets.delete(source);
			later(() => target.destroy());
		});
	}
}
