/** What LazAI's nodes are asked with, in their own names. */
export interface ProofRequest {
  readonly jobId: bigint;
  readonly fileId: bigint;
  readonly fileUrl: string;
  /** Content key, wrapped for the node; hex without 0x. */
  readonly encryptionKey: string;
}

/**
 * Asks a node for its proof: HTTP POST to `{nodeUrl}/proof`. Whatever comes back means nothing: a node answers 500 after
 * it has proven a file without a fee, and 200 before its transaction is mined. The event on chain tells.
 *
 * @param timeoutMs gives up after that long; the node works on
 * @returns what happened, for people. Never throws.
 */
export async function askNode(
  nodeUrl: string,
  request: ProofRequest,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<string> {
  let url: URL;
  try {
    url = new URL(`${nodeUrl.replace(/\/+$/, '')}/proof`);
  } catch {
    return `its address "${nodeUrl}" is no url`;
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return `its address ${nodeUrl} is not reached by http or https`;
  }
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        job_id: Number(request.jobId),
        file_id: Number(request.fileId),
        file_url: request.fileUrl,
        encryption_key: request.encryptionKey,
        encryption_seed: null,
        nonce: null,
        proof_url: null,
      }),
      // The wrapped key is for this node, not for wherever it points.
      redirect: 'error',
      signal: AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]),
    });
    // Not read: it may be of any size and says nothing that counts.
    await response.body?.cancel();
    return `it answered with HTTP ${response.status}`;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      return `it did not answer within ${options.timeoutMs} ms`;
    }
    const cause = (error as { cause?: { code?: string } }).cause?.code;
    return `it cannot be reached (${cause ?? (error as Error).message})`;
  }
}
