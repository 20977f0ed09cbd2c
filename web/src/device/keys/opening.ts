/** The vault, opened for one change: with the password or with the recovery key, checked against the user's own document. */

import { openArchive } from "../../crypto/archives";
import type { Secret } from "../../crypto/bytes";
import { CryptoError, isRefused } from "../../crypto/errors";
import { authOf, type Kdf, type PasswordKeys, readKdf, type Stretch, split } from "../../crypto/kdf";
import type { EncryptionKey } from "../../crypto/keys";
import { checkOwn } from "../../crypto/pins";
import * as recovery from "../../crypto/recovery";
import type { UserKeys } from "../../crypto/userkeys";
import * as userkeys from "../../crypto/userkeys";
import * as vaults from "../../crypto/vault";
import type { UserId } from "../../protocol/ids";
import { fields, Malformed } from "../../protocol/shape";
import type { Session } from "../ports";

// Vault and document are two requests, between which another device may change both.
const TRIES = 3;

/** What the user knows: the two keys of the password, with the parameters that made them; or the recovery key (32 bytes). */
export type Knowledge =
  | { readonly password: PasswordKeys; readonly kdf: Kdf; readonly recoveryKey?: undefined }
  | { readonly recoveryKey: Secret; readonly password?: undefined };

/** How a request says that the user knows it. */
export async function proof(known: Knowledge, passwordName: string): Promise<Record<string, string>> {
  if (known.password !== undefined) return { [passwordName]: authOf(known.password) };
  return { recovery_auth: await recovery.authOf(known.recoveryKey) };
}

/** The open vault, the user's document, and all versions of the encryption key, oldest first. Not to be kept. */
export interface Opened {
  readonly vault: vaults.OpenVault;
  readonly document: UserKeys;
  readonly keys: readonly EncryptionKey[];
}

/** What a password is, by the parameters that the server names. Rejected with `weak_kdf`. */
export async function passwordOf(session: Session, stretch: Stretch, username: string, password: string) {
  const path = `accounts/kdf?username=${encodeURIComponent(username)}`;
  return known(password, readKdf(await session.request("GET", path, { anonymous: true })), stretch);
}

/** What a password is by these parameters; a second in the worker. */
export async function known(password: string, kdf: Kdf, stretch: Stretch) {
  return { password: await split(password, kdf, stretch), kdf } satisfies Knowledge;
}

/**
 * Fetch, open, check. `follows`: holds the document against what this device has seen of its user.
 *
 * Rejected with `CryptoError` for a vault or a document that is not the user's, or is old; and with what requests are.
 */
export async function openVault(
  session: Session,
  known: Knowledge,
  follows: (document: UserKeys) => Promise<void>,
): Promise<Opened> {
  const { user } = await session.identity();
  for (let attempt = 1; ; attempt += 1) {
    const sealed = await session.request("GET", "e2ee/vault");
    const vault = await opens(sealed, user, known);
    const document = await ownDocument(session);
    if (document === null) throw new Malformed("the server does not tell the user's own keys");
    try {
      checkOwn(document, vault.secrets);
      await follows(document);
    } catch (error) {
      if (attempt < TRIES && isRefused(error, "rolled_back")) continue;
      throw error;
    }
    return { vault, document, keys: await allKeys(session, vault) };
  }
}

function opens(sealed: unknown, user: UserId, known: Knowledge): Promise<vaults.OpenVault> {
  if (known.password !== undefined) return vaults.openWithPassword(sealed, user, known.password.wrap);
  return vaults.openWithRecoveryKey(sealed, user, known.recoveryKey);
}

/**
 * The user's own document as the server has it; to be held against the vault, or against the pinned one.
 *
 * Null: the server tells none, as of somebody who has not set up. Rejected with `CryptoError` for one that nobody signed.
 */
export async function ownDocument(session: Session): Promise<UserKeys | null> {
  const { user } = await session.identity();
  const answer = await session.request("POST", "e2ee/users/query", { body: { known: { [user]: 0 } }, repeats: true });
  const told = fields(answer, "users' keys")[user];
  if (told === undefined || told === null) return null;
  return userkeys.read(fields(told, "a user's keys").userkeys, user);
}

async function allKeys(session: Session, vault: vaults.OpenVault): Promise<readonly EncryptionKey[]> {
  const keys: EncryptionKey[] = [];
  for (let page = 1; page <= vault.secrets.archives; page += 1) {
    const answer = fields(await session.request("GET", `e2ee/vault/archive/${page}`), "a page of the archive");
    keys.push(...(await openArchive(answer.ct, vault.user, page, vault.key)));
  }
  keys.push(...vault.secrets.encryptionKeys);
  if (keys.some((key, at) => key.version !== at + 1))
    throw new CryptoError("bad_encoding", "the archive's encryption keys have gaps");
  return keys;
}
