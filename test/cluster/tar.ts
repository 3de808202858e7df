/** Size of a tar block in bytes. */
const BLOCK = 512;

/** An archive ends with two empty blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

export interface TarHeader {
  /** Without a leading slash; folders end with one. */
  readonly path: string;
  readonly mode: number;
  /** Bytes that follow; 0 for folders and links. */
  readonly size: number;
  readonly type: 'file' | 'folder' | 'link';
  /** Where a link points to. */
  readonly target?: string;
}

const TYPE_FLAGS = { file: '0', link: '2', folder: '5' } as const;

/**
 * The header block of one entry in the POSIX ustar format, owned by root and without a time, so that the same content always gives
 * the same digest.
 *
 * @throws Error for paths and targets that the format cannot hold (100 bytes, or 255 split at a slash)
 */
export function tarHeader(entry: TarHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { prefix, name } = splitPath(entry.path);
  const octal = (value: number, offset: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  if (Buffer.byteLength(entry.target ?? '') > 100) throw new Error(`link target too long for tar: ${entry.target}`);
  block.write(name, 0);
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size, 124, 12);
  octal(0, 136, 12);
  block.write(' '.repeat(8), 148); // the checksum is taken with blanks in its own place
  block.write(TYPE_FLAGS[entry.type], 156);
  block.write(entry.target ?? '', 157);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** The bytes that fill the last block of a file of this size. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

function splitPath(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path };
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    if (name && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { prefix, name };
  }
  throw new Error(`path too long for tar: ${path}`);
}
