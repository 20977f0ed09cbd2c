"""Every limit of the product, in one table. Those that a client can run into are served at `GET /api/v1/limits` and said in
docs/protocol.md; the others only pace what the server does."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class Blind(Enum):
    """What a rate limit does while Valkey is away."""

    LOCAL = "local"  # each process counts for itself
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` tokens at most, refilled with `per_second`."""

    burst: int
    per_second: float
    when_blind: Blind = Blind.LOCAL


BODY_BYTES: Final = 32_768  # ciphertext of one message
FRAME_BYTES: Final = 65_536  # one socket frame, either way
POST_BYTES: Final = 6_000_000  # one POST: 100 messages of the largest size
POST_MESSAGES: Final = 100  # messages in one POST or `send` frame
MEMBERS: Final = 1_000  # of a room
DEVICES: Final = 50  # live devices of a user
BACKLOG: Final = 5_000  # sends waiting for the committer of one process
BACKLOG_BYTES: Final = 16_777_216  # ciphertext of these: five hundred of the largest
COMMIT_BYTES: Final = 2_097_152  # ciphertext of one commit: its statement holds several copies of it
WAITING_POSTS: Final = 500  # POSTs of messages waiting for their commit in one process: each holds a thread
PENDING_ROWS: Final = 1_000_000  # deliveries waiting, in the whole system
PENDING_AGE_S: Final = 600  # the oldest of them
PAGE_ENTRIES: Final = 500
PAGE_ROOMS: Final = 200
HELD: Final = 1_000  # messages of one stranger in one request box; what is more is dropped
PAGE_CONNECTIONS: Final = 500
CONNECTIONS: Final = 10_000  # contacts, blocks and requests of a user; and as many that others have made
NOTE_BYTES: Final = 1_024  # ciphertext of the note on one of them
VAULT_BYTES: Final = 16_384  # a user's vault as JSON; as much one page of its archive
USERKEYS_BYTES: Final = 32_768  # payload of a key document
LISTED_DEVICES: Final = 100  # in a key document; `DEVICES` of them live
KEY_QUERY: Final = 200  # users asked about in one request
EPOCH_RECORD_BYTES: Final = 2_048  # payload of an epoch record
EPOCH_BYTES: Final = 524_288  # a new epoch with list and wraps, as JSON
EPOCH_GRACE_S: Final = 30  # how long the epoch before is taken, if only joins ended it
PAGE_EPOCHS: Final = 500
WINDOW: Final = 512  # entries sent on a socket and not yet acknowledged
WINDOW_BYTES: Final = 1_048_576  # the same in bytes
WINDOW_FULL_S: Final = 60  # how long a window may stay full before close 4009
# Of a socket, kept here because its client does not read; entries beyond stay in the mailbox.
UNSENT_BYTES: Final = 32_768
UNSENT_MOST_BYTES: Final = 1_048_576  # of answers, which are not held back: then it is hung up
PUSHED_BYTES: Final = 65_536  # of pushed entries at a time; the rest is read from the mailbox
READ_AHEAD_BYTES: Final = 65_536  # of frames that have come and were not looked at: then no more is read
FIRST_PAGE_ENTRIES: Final = 128  # of a page before the client has acknowledged anything on the socket
HELLO_S: Final = 5  # from the opening of a socket to its hello
WELCOME_S: Final = 10  # from hello to welcome; else it is closed (1012)
UNAUTHENTICATED_SOCKETS: Final = 100  # waiting for hello, per address and process
SOCKETS: Final = 20_000  # of one process; the setting MOST_SOCKETS says otherwise
SOCKETS_PER_ADDRESS: Final = 5_000  # the same from one address; MOST_SOCKETS_PER_ADDRESS
SOCKETS_PER_DEVICE: Final = 10  # the same of one device; MOST_SOCKETS_PER_DEVICE
TYPING_S: Final = 3  # one `typing` per room and device in this time
ID_CLOCK_SKEW_S: Final = 86_400  # a message id's time against the server's
REF_CHARACTERS: Final = 64
PUSH_ENDPOINT_CHARACTERS: Final = 1_024
PUSH_QUIET_S: Final = 600  # no second push to a device within this, unless it has acknowledged the first
RECEIPTS_MS: Final = 200  # receipts are gathered for this long

RATES: Final[dict[str, Rate]] = {
    # Per device over REST, which counts in Valkey; per socket, in its process, what comes over sockets.
    "send": Rate(burst=1_000, per_second=100),
    "frame": Rate(burst=600, per_second=60),
    "refused_frame": Rate(burst=5_000, per_second=60),  # beyond `frame`: past this, too, the socket is hung up
    "request": Rate(burst=300, per_second=30),
    # Per address.
    "address": Rate(burst=3_000, per_second=300),
    "register": Rate(burst=50, per_second=0.2),
    "sign_in": Rate(burst=50, per_second=1),
    "kdf": Rate(burst=60, per_second=1),
    # Per user.
    "lookup": Rate(burst=60, per_second=0.5),
    "vault": Rate(burst=10, per_second=10 / 3_600),  # reading it
    "keys": Rate(burst=30, per_second=0.05),  # changing keys, vault or password: others may be told
    "rekey": Rate(
        burst=20, per_second=1 / 300
    ),  # another encryption key: each outdates the epochs of all the user's rooms
    # Per room and device.
    "epoch": Rate(burst=6, per_second=0.1),
    # Per room and user: epochs where nothing has outdated the one before. Each of a large group is 230 kB, for good.
    "epoch_early": Rate(burst=20, per_second=1 / 60),
    # Per user and whom the change is about.
    "connection_pair": Rate(burst=30, per_second=0.1),
    "connection": Rate(burst=120, per_second=2),
}


def table() -> dict[str, Any]:
    """The limits as clients see them: bytes, counts, seconds (`_s`) or milliseconds (`_ms`) as the names say."""
    return {
        "body_bytes": BODY_BYTES,
        "frame_bytes": FRAME_BYTES,
        "post_bytes": POST_BYTES,
        "post_messages": POST_MESSAGES,
        "members": MEMBERS,
        "devices": DEVICES,
        "page_entries": PAGE_ENTRIES,
        "page_rooms": PAGE_ROOMS,
        "held": HELD,
        "page_connections": PAGE_CONNECTIONS,
        "connections": CONNECTIONS,
        "note_bytes": NOTE_BYTES,
        "vault_bytes": VAULT_BYTES,
        "userkeys_bytes": USERKEYS_BYTES,
        "listed_devices": LISTED_DEVICES,
        "key_query": KEY_QUERY,
        "epoch_record_bytes": EPOCH_RECORD_BYTES,
        "epoch_bytes": EPOCH_BYTES,
        "epoch_grace_s": EPOCH_GRACE_S,
        "page_epochs": PAGE_EPOCHS,
        "window": WINDOW,
        "window_bytes": WINDOW_BYTES,
        "window_full_s": WINDOW_FULL_S,
        "unsent_bytes": UNSENT_BYTES,
        "unsent_most_bytes": UNSENT_MOST_BYTES,
        "read_ahead_bytes": READ_AHEAD_BYTES,
        "hello_s": HELLO_S,
        "welcome_s": WELCOME_S,
        "unauthenticated_sockets": UNAUTHENTICATED_SOCKETS,
        "sockets": SOCKETS,
        "sockets_per_address": SOCKETS_PER_ADDRESS,
        "sockets_per_device": SOCKETS_PER_DEVICE,
        "ref_characters": REF_CHARACTERS,
        "typing_s": TYPING_S,
        "push_endpoint_characters": PUSH_ENDPOINT_CHARACTERS,
        "push_quiet_s": PUSH_QUIET_S,
        "id_clock_skew_s": ID_CLOCK_SKEW_S,
        "backlog": BACKLOG,
        "backlog_bytes": BACKLOG_BYTES,
        "waiting_posts": WAITING_POSTS,
        "pending_rows": PENDING_ROWS,
        "pending_age_s": PENDING_AGE_S,
        "rates": {name: {"burst": rate.burst, "per_second": rate.per_second} for name, rate in RATES.items()},
    }
