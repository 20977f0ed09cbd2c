"""Who this device is, its tokens, and the newest timestamp that it has given out."""

from client.protocol.answers import SignedIn, Tokens
from client.protocol.ids import DeviceId, UserId
from client.store.database import Database

NAMES = (
    "user", "username", "device", "device_name", "access", "access_expires_at", "refresh", "refresh_expires_at",
)  # fmt: skip


class Identity:
    """One sign-in. A store that has served one user never serves another."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> SignedIn | None:
        """The sign-in that is stored; None when there is none (any more)."""
        facts = dict(self._database.all("SELECT name, value FROM facts"))
        if any(name not in facts for name in NAMES):
            return None
        return SignedIn(
            UserId(facts["user"]), facts["username"], DeviceId(facts["device"]), facts["device_name"],
            Tokens(facts["access"], facts["access_expires_at"], facts["refresh"], facts["refresh_expires_at"]),
        )  # fmt: skip

    def owner(self) -> UserId | None:
        """Whose entries are in this store, also after signing out."""
        return self._database.fact("user")  # type: ignore[no-any-return]

    def save(self, signed_in: SignedIn) -> None:
        """Keep a new sign-in."""
        with self._database.transaction(to_the_disk=True):
            self._database.put(
                user=signed_in.user, username=signed_in.username, device=signed_in.device,
                device_name=signed_in.device_name,
            )  # fmt: skip
            self.save_tokens(signed_in.tokens)

    def save_tokens(self, tokens: Tokens) -> None:
        """Keep the tokens of a refresh. They go to the disk at once: the old refresh token is spent."""
        with self._database.transaction(to_the_disk=True):
            self._database.put(
                access=tokens.access, access_expires_at=tokens.access_expires_at,
                refresh=tokens.refresh, refresh_expires_at=tokens.refresh_expires_at,
            )  # fmt: skip

    def forget_tokens(self) -> None:
        """Signed out. The entries stay."""
        self._database.run("DELETE FROM facts WHERE name IN ('access', 'refresh')")

    def next_timestamp(self, now_ms: int) -> int:
        """max(now, the last one + 1 ms), kept: a clock that is set back makes no message late (protocol §3.3)."""
        last = self._database.fact("last_sent_at")
        stamp = now_ms if last is None else max(now_ms, last + 1)
        self._database.put(last_sent_at=stamp)
        return stamp
