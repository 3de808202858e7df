import { expect, test } from 'vitest';
import { routeKind } from './protocol.ts';

test.each([
  [{ port: 80 }, 'http'],
  [{ port: 80, name: 'web' }, 'http'],
  [{ port: 80, name: 'http' }, 'http'],
  [{ port: 80, name: 'http2-api' }, 'http'],
  [{ port: 80, name: 'grpc-web' }, 'http'],
  [{ port: 80, name: 'GRPC' }, 'http'],
  [{ port: 80, name: 'tcp-data', appProtocol: 'http' }, 'http'],
  [{ port: 80, appProtocol: 'kubernetes.io/h2c' }, 'http'],
  [{ port: 3306, name: 'http-admin' }, 'http'],
  [{ port: 80, name: 'tcp-data' }, 'tcp'],
  [{ port: 6379, name: 'redis' }, 'tcp'],
  [{ port: 3306, name: 'db' }, 'tcp'],
  [{ port: 443, name: 'https' }, 'tls'],
  [{ port: 443, name: 'tls-x' }, 'tls'],
  [{ port: 443, name: 'http', appProtocol: 'https' }, 'tls'],
  [{ port: 53, name: 'dns', protocol: 'UDP' }, 'none'],
])('%j takes %s routes', (port, kind) => {
  expect(routeKind(port)).toBe(kind);
});
