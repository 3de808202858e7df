import { expect, test } from 'vitest';
import { parseForward } from './forward.ts';

test('a forward names the local port and the target inside', () => {
  expect(parseForward('9090=prometheus.istio-system:9091')).toEqual({
    localPort: 9090,
    host: 'prometheus.istio-system',
    port: 9091,
  });
});

test.each(['9090', '0=a:1', '1=a:0', '70000=a:1', '1=a:70000', '1=:1', '1=-a:1', 'x=a:1', '1=a b:1'])(
  'refuses %j with the form it takes',
  (text) => expect(() => parseForward(text)).toThrow(/LOCALPORT=HOST:PORT/),
);
