/**
 * gRPC statuses that are the server's fault: those that google.rpc.Code maps to HTTP 5xx (UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
 * INTERNAL, UNAVAILABLE, DATA_LOSS). The rest, such as NOT_FOUND or PERMISSION_DENIED, say something to the caller.
 */
const GRPC_FAULTS = new Set(['2', '4', '12', '13', '14', '15']);

/**
 * What a series of `istio_requests_total` counts. Flagger's and Istio's meaning of success is a response code below 500; code 0, a
 * connection that broke, is a failure. gRPC carries its failures in a status beside HTTP's 200, where Istio reports it.
 */
export function answerKind(labels: Record<string, string>): 'error' | 'ok' {
  const { response_code: code, grpc_response_status: grpc } = labels;
  if (code === '0' || (code !== undefined && /^5\d\d$/.test(code))) return 'error';
  return grpc !== undefined && GRPC_FAULTS.has(grpc) ? 'error' : 'ok';
}

/** What a series of a histogram counts: its bound. */
export const bucketKind = (labels: Record<string, string>): string | undefined => labels['le'];
