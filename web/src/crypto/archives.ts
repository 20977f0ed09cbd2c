/**
 * Old encryption keys, 32 a page, so that the vault does not grow for ever.
 *
 * A page is written once, under the vault key, when the vault has more than 32 keys; pages are numbered from 1.
 */

import type { UserId } from "../protocol/ids";
import * as aead from "./aead";
import { Secret, same } from "./bytes";
import { b64, ctx, dump, unb64 } from "./encoding";
import { CryptoError } from "./errors";
import { fields, integer, listing } from "./forms";
import { type Fields, load } from "./json";
import { EncryptionKey } from "./keys";
import type { OpenVault } from "./vault";

export const PAGE = 32; // keys
export const MAX_KEYS = 2 * PAGE; // in a vault that somebody forgot to archive; of ours, none has more than 33

/** The field `archive` beside the vault. */
export type ArchivePage = { readonly page: number; readonly ct: string };

/**
 * Move the oldest 32 keys to a page when there are more than 32. Both travel in one request, or neither.
 *
 * The vault keeps its version: `archive(vault.next(secrets))`.
 */
export async function archive(vault: OpenVault): Promise<{ vault: OpenVault; page: ArchivePage | null }> {
  const { encryptionKeys: keys, archives } = vault.secrets;
  if (keys.length <= PAGE) return { vault, page: null };
  const page = archives + 1;
  const written = dump(writeKeys(keys.slice(0, PAGE)));
  const sealed = await aead.seal(vault.key.reveal(), written, ctx("archive", vault.user, page));
  return { vault: vault.holding(vault.secrets.with(keys.slice(PAGE), page)), page: { page, ct: b64(sealed) } };
}

/** The keys of a page, oldest first. `key`: the vault's. Throws `bad_seal` and `bad_encoding`. */
export async function openArchive(
  ct: unknown,
  user: UserId,
  page: number,
  key: Secret,
): Promise<readonly EncryptionKey[]> {
  return readKeys(load(await aead.open(key.reveal(), unb64(ct), ctx("archive", user, page))), PAGE);
}

/** As vault and archive hold them. */
export function writeKeys(keys: readonly EncryptionKey[]): readonly Fields[] {
  return keys.map((key) => ({ ver: key.version, sk: b64(key.secret.reveal()), pk: b64(key.public) }));
}

/** The keys again. Throws `bad_encoding`, also for halves that do not belong together. */
export function readKeys(value: unknown, most: number): Promise<readonly EncryptionKey[]> {
  return Promise.all(listing(value, most).map((key) => readKey(fields(key, ["ver", "sk", "pk"]))));
}

async function readKey(read: Fields): Promise<EncryptionKey> {
  const key = await EncryptionKey.of(integer(read.ver, 1), new Secret(unb64(read.sk, 32)));
  if (!same(key.public, unb64(read.pk, 32))) throw new CryptoError("bad_encoding", "two halves of different keys");
  return key;
}
