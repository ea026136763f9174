import type {RuntimeStdio} from '../../../contracts/oci-runtime/oci-runtime.ts';
import type {HeldKind} from '../protocol/spare-service.ts';
import type {TerminalSize} from '../../../lib/sys/terminal.ts';

/** The open standard streams of a process. */
export interface ProcessIo extends AsyncDisposable {
	/** What the runtime hands to the process; all null with a terminal. */
	readonly child: RuntimeStdio;
	/** Where the runtime delivers the terminal's master end. */
	readonly consoleSocket?: string;
	/** What must outlive this process, for the spare to hold a copy; ours to close. */
	descriptors(): readonly {readonly kind: HeldKind; readonly fd: number}[];
	/** The runtime has passed on what it was given: closes our copies, takes the terminal. */
	handedOver(): Promise<void>;
	/** The process sees the end of its standard input once the client has closed it too. */
	closeStdin(): void;
	/** Throws FAILED_PRECONDITION where there is no terminal. */
	resize(size: TerminalSize): void;
	/** Bytes that the process wrote and the client has not read, as far as they can be counted: in FIFOs and pipes. */
	waiting(): number;
	/** The process is gone: what it wrote is passed on, then our ends are closed, so that clients see the end. Never rejects. */
	finish(): Promise<void>;
}
