/** Invariants that the type checker or the wire must hold. Knows nothing of the dashboard. */

/** End an exhaustive `switch`: a kind without a case fails to compile, and throws if it arrives. */
export function assertNever(value: never): never {
  throw new Error(`unexpected ${JSON.stringify(value)}`);
}

/** Throw `message` unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
