import {KeelsonError} from '../../kernel/errors.ts';
import {bindings, inPool} from '../sys/libc.ts';
import type {Digest} from './inflater.ts';

/**
 * SHA-256 on threads of the pool, by the OpenSSL that node is made of (EVP_DigestInit(3)): node:crypto's hash keeps the thread that calls it. Throws where node is
 * built without it. Disposed of only once its last update has ended.
 */
export class Sha256Beside implements Digest, Disposable {
	readonly #context = functions().EVP_MD_CTX_new() as bigint | number;

	constructor() {
		if (Number(this.#context) === 0 || functions().EVP_DigestInit_ex(this.#context, functions().EVP_sha256(), 0) !== 1) {
			this[Symbol.dispose]();
			throw noDigest();
		}
	}

	async update(address: bigint, length: number): Promise<void> {
		const {result} = await inPool(functions().EVP_DigestUpdate, [this.#context, address, length]);
		if (result !== 1) {
			throw noDigest();
		}
	}

	/** Hex; once. */
	hex(): string {
		const digest = Buffer.alloc(DIGEST_BYTES);
		functions().EVP_DigestFinal_ex(this.#context, digest, 0);
		return digest.toString('hex');
	}

	[Symbol.dispose](): void {
		functions().EVP_MD_CTX_free(this.#context);
	}
}

function noDigest(): KeelsonError {
	return new KeelsonError('RESOURCE_EXHAUSTED', 'OpenSSL makes no SHA-256, which it does unless memory is exhausted');
}

const DIGEST_BYTES = 32;

const functions = bindings(node => ({
	EVP_sha256: node.func('uintptr_t EVP_sha256()'),
	EVP_MD_CTX_new: node.func('uintptr_t EVP_MD_CTX_new()'),
	EVP_MD_CTX_free: node.func('void EVP_MD_CTX_free(uintptr_t context)'),
	EVP_DigestInit_ex: node.func('int EVP_DigestInit_ex(uintptr_t context, uintptr_t type, uintptr_t engine)'),
	EVP_DigestUpdate: node.func('int EVP_DigestUpdate(uintptr_t context, uintptr_t bytes, size_t length)'),
	EVP_DigestFinal_ex: node.func('int EVP_DigestFinal_ex(uintptr_t context, void *digest, uintptr_t length)'),
}), null);
