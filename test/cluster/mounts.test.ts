import { expect, test } from 'vitest';
import { mountsBelow, parseMountPoints } from './mounts.ts';

const TABLE = `/dev/vda / ext4 rw 0 0
tmpfs /state/one/a tmpfs rw 0 0
tmpfs /state/one/a/b tmpfs rw 0 0
tmpfs /state/one-more/a tmpfs rw 0 0
tmpfs /state/one/with\\040blank\\134slash tmpfs rw 0 0
`;

test('mount points are read with their octal characters', () => {
  expect(parseMountPoints(TABLE)).toContain('/state/one/with blank\\slash');
});

test('mounts below a folder come last first, without those of a neighbour whose name begins alike', () => {
  const below = ['/state/one/with blank\\slash', '/state/one/a/b', '/state/one/a'];
  expect(mountsBelow('/state/one', TABLE)).toEqual(below);
  expect(mountsBelow('/state/one/', TABLE)).toEqual(below);
  expect(mountsBelow('/state/none', TABLE)).toEqual([]);
});
