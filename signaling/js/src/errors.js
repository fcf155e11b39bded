/**
 * Everything that goes wrong in this client is a `SimmerError` with a stable `code`.
 *
 * Codes of the server are those of `docs/protocol.md` section 6. Codes made here:
 * `connect_failed`, `left`, `replaced`, `closed`, `queue_full`, `permission_denied`, `no_device`,
 * `device_busy`, `capture_unavailable`, `unsupported_codec`, `unsupported_layers`.
 */
export class SimmerError extends Error {
  /**
   * @param {string} code stable, for programs
   * @param {string} message a sentence a person can act on
   * @param {{retryMs?: number, cause?: unknown}} [details]
   */
  constructor(code, message, details = {}) {
    super(message, { cause: details.cause });
    this.name = 'SimmerError';
    this.code = code;
    /** When a `rate_limited` request may be tried again, in milliseconds. */
    this.retryMs = details.retryMs;
  }

  /**
   * The error a server's `error` message stands for.
   * @param {{code: string, message: string, retry_ms?: number}} message
   */
  static fromServer(message) {
    return new SimmerError(message.code, message.message, { retryMs: message.retry_ms });
  }
}
