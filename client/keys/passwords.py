"""How good a password must be: it protects the vault from whoever has a copy of the server's database."""

from typing import Final

from zxcvbn import zxcvbn

from client.errors import LetterlockError

LEAST_SCORE: Final = 3  # of zxcvbn's 0 to 4: beyond 10⁸ guesses, each of which costs one Argon2id
MOST_CHARACTERS: Final = 72  # that are looked at: the time grows faster than the length


class WeakPassword(LetterlockError):
    """The password could be guessed; the text says how to make it better."""


def check_password(password: str, *names: str) -> None:
    """Raises WeakPassword for one that guessing would find; `names` are what a guesser would try first."""
    if not password:
        raise WeakPassword("Choose a password.")
    found = zxcvbn(password[:MOST_CHARACTERS], user_inputs=list(names))
    if found["score"] < LEAST_SCORE:
        advice = [found["feedback"]["warning"], *found["feedback"]["suggestions"]]
        raise WeakPassword(" ".join(text.rstrip(".") + "." for text in advice if text) or "Use a longer password.")
