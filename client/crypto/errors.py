"""What this package refuses, as one family with stable codes.

CryptoError
  ├── BadEncoding       not the canonical form: base64, JSON, lengths, fields
  ├── BadKey            a public key that no honest device makes (a point of low order)
  ├── BadSeal           a sealed value that was changed, or is for another place, or under another key
  ├── BadSignature      not signed by whom it should be
  ├── WrongSecret       the password or the recovery key does not open the vault (or it is another user's vault)
  ├── WeakKdf           parameters below the floor or above the ceiling
  ├── BadRecoveryKey    a mistyped recovery key
  ├── WrongUser         a document about somebody else
  ├── IdentityChanged   another identity key than the one that is pinned
  ├── RolledBack        an older document than the one that is pinned, or an older vault than the document
  ├── Forked            a document that does not continue the pinned one
  ├── BadChange         a document that continues the last one in a way that the rules do not have
  ├── BadEpoch          a record for another room, epoch, creator or device
  │     ├── BadWrap     a wrap that does not open
  │     └── BadCommit   a key that is not the one of the record
  ├── BadMessage        a body that is not genuine, or not the one that the server says it is
  └── TooLong           a body beyond the limit
"""

from typing import ClassVar

from client.errors import LetterlockError


class CryptoError(LetterlockError):
    """The base of this package's refusals. Texts never hold secrets or bodies."""

    code: ClassVar[str] = "crypto"


class BadEncoding(CryptoError):
    """Something is not in its one canonical form."""

    code = "bad_encoding"


class BadKey(CryptoError):
    """A public key of low order or out of range: with it anybody knows the secret, or anybody can sign."""

    code = "bad_key"


class BadSeal(CryptoError):
    """AES-GCM or HPKE says no."""

    code = "bad_seal"


class BadSignature(CryptoError):
    """Ed25519 says no."""

    code = "bad_signature"


class WrongSecret(CryptoError):
    """The password or the recovery key is not the one of this vault."""

    code = "wrong_secret"


class WeakKdf(CryptoError):
    """A server names parameters that would weaken the password's keys, or keep the device busy for ever."""

    code = "weak_kdf"


class BadRecoveryKey(CryptoError):
    """The text is no recovery key; most likely a typing error."""

    code = "bad_recovery_key"


class WrongUser(CryptoError):
    """The document is about another user than the one that was asked for."""

    code = "wrong_user"


class IdentityChanged(CryptoError):
    """The identity key is not the pinned one."""

    code = "identity_changed"


class RolledBack(CryptoError):
    """The document, or the vault, is older than what is known."""

    code = "rolled_back"


class Forked(CryptoError):
    """Two documents with one number, or a successor of another document."""

    code = "forked"


class BadChange(CryptoError):
    """A step between two documents that docs/protocol.md §6.6 does not allow."""

    code = "bad_change"


class BadEpoch(CryptoError):
    """The epoch's record is not for this place."""

    code = "bad_epoch"


class BadWrap(BadEpoch):
    """The wrap does not open with this key, for this user and epoch."""

    code = "bad_wrap"


class BadCommit(BadEpoch):
    """The key that came is not the one that the record commits to: members would have different keys."""

    code = "bad_commit"


class BadMessage(CryptoError):
    """The body could not be verified."""

    code = "bad_message"


class TooLong(CryptoError):
    """The body does not fit into one message."""

    code = "too_long"
