// In this order: the library does not load without the polyfill.
import './reflect.ts';

export * from '@peculiar/x509';
