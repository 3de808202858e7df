import type { IncomingMessage } from 'node:http';

/**
 * The API server takes objects of up to 3 MiB (its MaxRequestBodyBytes). A review has two of them, the new and the old one, and a few
 * kilobytes about the request: 7 MiB, with room.
 */
export const MAX_BODY_BYTES = 7 * 1024 * 1024;
/** The API server sends a review in one go, and gives up on us after 3 s. */
export const BODY_TIMEOUT_MS = 5000;
/**
 * Bodies that are held at the same time, over all requests. Real reviews have some 10 KiB, so that thousands fit; somebody who sends
 * us many large ones must not push the process over its memory limit, because parsed they take several times as much.
 */
export const MAX_HELD_BYTES = 2 * MAX_BODY_BYTES;
/**
 * What Node.js keeps for each piece of a body beside its bytes. Pieces of an honest body are some 16 KiB; a sender that makes each of one
 * byte would otherwise have a hundred times the bytes that are counted.
 */
const BYTES_PER_PIECE = 256;

/**
 * What a body may hold outside the common budget: the reviews that clusters really send fit, so that a few senders of large bodies that
 * stop half-way cannot keep them out. All connections together hold 32 MiB of it at most.
 */
const FREE_BYTES = 32 * 1024;

/** A request whose body will not be read to its end: the HTTP status says why. */
export class BodyError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'BodyError';
    this.status = status;
  }
}

export interface BodyLimits {
  maxBytes?: number;
  maxHeldBytes?: number;
  freeBytes?: number;
  timeoutMs?: number;
}

/** Reads bodies within limits of size, time and, over all of them, memory. */
export class BodyReader {
  readonly #maxBytes: number;
  readonly #maxHeldBytes: number;
  readonly #freeBytes: number;
  readonly #timeoutMs: number;
  #heldBytes = 0;

  constructor({
    maxBytes = MAX_BODY_BYTES,
    maxHeldBytes = MAX_HELD_BYTES,
    freeBytes = FREE_BYTES,
    timeoutMs = BODY_TIMEOUT_MS,
  }: BodyLimits = {}) {
    this.#maxBytes = maxBytes;
    this.#maxHeldBytes = maxHeldBytes;
    this.#freeBytes = freeBytes;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Hands the whole body to `use` and counts it until that is done.
   * @throws BodyError 413, 408, 503 or, for a client that went away, 400
   */
  async read<T>(request: IncomingMessage, use: (body: Buffer) => Promise<T>): Promise<T> {
    let bytes = 0;
    let pieceBytes = 0;
    let heldBytes = 0;
    const count = (more: number) => {
      bytes += more;
      pieceBytes += more + BYTES_PER_PIECE;
      const held = Math.max(0, pieceBytes - this.#freeBytes);
      this.#heldBytes += held - heldBytes;
      heldBytes = held;
      if (bytes > this.#maxBytes) throw new BodyError(413, `the body is longer than ${this.#maxBytes} bytes`);
      if (held > 0 && this.#heldBytes > this.#maxHeldBytes)
        throw new BodyError(503, 'too many large requests at the same time; try again');
    };
    try {
      if (Number(request.headers['content-length'] ?? 0) > this.#maxBytes) count(this.#maxBytes + 1);
      return await use(await this.#collect(request, count));
    } finally {
      this.#heldBytes -= heldBytes;
    }
  }

  #collect(request: IncomingMessage, count: (bytes: number) => void): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const stop = () => {
        clearTimeout(timer);
        request.off('data', onData).off('end', onEnd);
      };
      const fail = (error: unknown) => {
        stop();
        reject(error);
      };
      const onData = (chunk: Buffer) => {
        try {
          count(chunk.length);
          chunks.push(chunk);
        } catch (e) {
          fail(e);
        }
      };
      const onEnd = () => {
        stop();
        resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
      };
      const late = () => fail(new BodyError(408, `the body did not arrive within ${this.#timeoutMs} ms`));
      const timer = setTimeout(late, this.#timeoutMs);
      // The last one stays: an error that comes after ours must not be an unhandled one.
      request
        .on('data', onData)
        .on('end', onEnd)
        .on('error', () => fail(new BodyError(400, 'the request was cut short')));
    });
  }
}
