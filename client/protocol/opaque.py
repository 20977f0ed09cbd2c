"""Bytes that the server cannot read, and how they are spelled on the wire (protocol §1)."""

import base64
import binascii

from client.errors import MalformedFrame


class Ciphertext(bytes):
    """A sealed body. Prints its size, never its bytes."""

    def __repr__(self) -> str:
        return f"<Ciphertext {len(self)} bytes>"

    __str__ = __repr__


def to_text(value: bytes) -> str:
    """Spell bytes for the wire: base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """Read base64url without padding; what would not be spelled the same way again is refused."""
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise MalformedFrame("not base64url") from error
    if to_text(value) != text:
        raise MalformedFrame("not base64url in its only spelling")
    return value
