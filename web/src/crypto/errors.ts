/** What this folder refuses, as one class with stable codes, those of the Python client. Texts never hold secrets or bodies. */

export type CryptoCode =
  | "bad_encoding" // not the canonical form: base64, JSON, lengths, fields
  | "bad_key" // a public key that no honest device makes (a point of low order)
  | "bad_seal" // a sealed value that was changed, or is for another place, or under another key
  | "bad_signature" // not signed by whom it should be
  | "wrong_secret" // the password or the recovery key does not open the vault (or it is another user's vault)
  | "weak_kdf" // parameters below the floor or above the ceiling
  | "bad_recovery_key" // a mistyped recovery key
  | "wrong_user" // a document about somebody else
  | "identity_changed" // another identity key than the one that is pinned
  | "rolled_back" // an older document than the one that is pinned, or an older vault than the document
  | "forked" // a document that does not continue the pinned one
  | "bad_change" // a document that continues the last one in a way that the rules do not have
  | "bad_epoch" // a record for another room, epoch, creator or device
  | "bad_wrap" // a wrap that does not open
  | "bad_commit" // a key that is not the one of the record
  | "bad_message" // a body that is not genuine, or not the one that the server says it is
  | "too_long"; // a body beyond the limit

export class CryptoError extends Error {
  constructor(
    readonly code: CryptoCode,
    message: string,
  ) {
    super(message);
    this.name = "CryptoError";
  }
}

/** Whether something was refused by this folder, with this code if one is given. */
export function isRefused(error: unknown, ...codes: readonly CryptoCode[]): error is CryptoError {
  return error instanceof CryptoError && (codes.length === 0 || codes.includes(error.code));
}
