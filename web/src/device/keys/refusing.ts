/** What stops a change of keys, and which of it may go later. */

import { CryptoError } from "../../crypto/errors";
import { Refusal } from "../../messenger";
import { mayRetry } from "../../protocol/problems";
import { Malformed } from "../../protocol/shape";

/** Something that was asked for may be had later: no answer, or not for now. */
export function isForNow(error: unknown): boolean {
  if (!(error instanceof Refusal)) return false;
  return error.code === "offline" || (error.problem !== null && mayRetry(error.problem));
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof Refusal && error.code === "signed_out";
}

/** The answer; null if it is no, or cannot be read. Rejected with what may go later, and with `signed_out`. */
export async function tolerantly<Answer>(asked: Promise<Answer>): Promise<Answer | null> {
  try {
    return await asked;
  } catch (error) {
    const isNo = error instanceof Refusal && !isForNow(error) && !isSignedOut(error);
    if (isNo || error instanceof CryptoError || error instanceof Malformed) return null;
    throw error;
  }
}

/** Codes of `CryptoError` that the pages know; whatever else is wrong with what the server told, nothing was done. */
const SHOWN: Readonly<Record<string, string>> = {
  wrong_secret: "wrong_secret",
  bad_recovery_key: "bad_recovery_key",
  too_long: "too_large",
};

/** The same, rejected with a `Refusal` where it was refused. */
export async function refusing<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CryptoError) throw new Refusal(SHOWN[error.code] ?? "not_verified");
    if (error instanceof Malformed) throw new Refusal("not_verified");
    throw error;
  }
}
