import { expect, test } from 'vitest';
import { executableName, requiredVersion } from './build.ts';
import { parseImageList } from './containerd.ts';
import { parseLibraries, withStatsFlush } from './images.ts';

test('libraries are read from the output of ldd', () => {
  const output = `
	linux-vdso.so.1 (0x00007f0d94688000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0d94495000)
	libmissing.so => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f0d9468a000)
`;
  expect(parseLibraries(output)).toEqual(['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
  expect(parseLibraries('	statically linked\n')).toEqual([]);
});

test('the bootstrap template gets a flush interval where a pod asks for none', () => {
  const template = `{
  {{- if .stats_flush_interval }}
  "stats_flush_interval": "{{ .stats_flush_interval }}",
  {{- end }}
  "stats_config": {}`;
  expect(withStatsFlush(template)).toBe(`{
  {{- if .stats_flush_interval }}
  "stats_flush_interval": "{{ .stats_flush_interval }}",
  {{- else }}
  "stats_flush_interval": "1s",
  {{- end }}
  "stats_config": {}`);
});

test('a template of another form is refused rather than left as it is', () => {
  expect(() => withStatsFlush('{}')).toThrow(/stats_flush_interval/);
});

test('the images of containerd are read with their digests', () => {
  const table = `REF               TYPE                                     DIGEST     SIZE    PLATFORMS   LABELS
localhost/a:1     application/vnd.oci.image.manifest.v1+json sha256:aaa 1.0 MiB linux/amd64 -
localhost/b:dev   application/vnd.oci.image.manifest.v1+json sha256:bbb 2.0 MiB linux/amd64 -
`;
  const images = { 'localhost/a:1': 'sha256:aaa', 'localhost/b:dev': 'sha256:bbb' };
  expect(Object.fromEntries(parseImageList(table))).toEqual(images);
  expect(parseImageList('').size).toBe(0);
});

test.each([
  ['require example.org/a v1.2.3\n', 'v1.2.3'],
  ['require (\n\texample.org/a/b v9.0.0\n\texample.org/a v1.2.3 // indirect\n)\n', 'v1.2.3'],
])('a version is read from go.mod', (goMod, version) => {
  expect(requiredVersion(goMod, 'example.org/a')).toBe(version);
});

test('a module that go.mod does not require is an error', () => {
  expect(() => requiredVersion('require example.org/ab v1.0.0', 'example.org/a')).toThrow(/does not require/);
});

test.each([
  ['k8s.io/kubernetes/cmd/kube-apiserver', 'kube-apiserver'],
  ['go.etcd.io/etcd/server/v3', 'server'],
  ['./coredns', 'coredns'],
  ['.', undefined],
])('the binary of %s is called %s', (source, name) => {
  expect(executableName(source)).toBe(name);
});
