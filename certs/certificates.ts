/** Whatever keeps the serving certificate good. */
export interface Certificates {
  /** What is still missing before a call can succeed: names for a person; empty when ready. */
  pending(): string[];
  /** When the certificate that is served now ends. */
  expiresAt(): Date | undefined;
}
