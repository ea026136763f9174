/** Bytes with the name of their type: stored and handed on byte for byte, known or not (google.protobuf.Any; no `type.googleapis.com/` prefix). */
export interface Any {
	readonly typeUrl: string;
	readonly value: Uint8Array;
}
