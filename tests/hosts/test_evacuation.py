"""When the users of a host that is emptied are told so, and when who stays is hung up (delivery/evacuation.py).

The host is played, and the clock is the loop's own: where nothing is to be done before a moment, it is that moment.
"""

import asyncio
import json
import selectors
from itertools import pairwise

import pytest

from delivery.evacuation import AFTER_MS, ASK_AGAIN_S, LAST_AFTER_MS, LAST_PATIENCE_S, LOOK_S, PATIENCE_S, Evacuation
from delivery.frames import CloseCode
from delivery.registry import RegistryAway

URL = "http://web-2.example"


class Jumping(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing: its clock goes on by what it would have waited."""

    def __init__(self):
        self.now = 0.0
        super().__init__(self.Selector(self))

    def time(self):
        return self.now

    class Selector(selectors.DefaultSelector):
        def __init__(self, loop):
            super().__init__()
            self._loop = loop

        def select(self, timeout=None):
            self._loop.now += timeout or 0.0
            return super().select(0)


class Phone:
    """A socket; notes when it was told where to go, and when it was hung up. Goes when it is told, if it is `obedient`."""

    def __init__(self, host, user, *, obedient):
        self._host, self.user, self._obedient = host, user, obedient
        self.told, self.hung_up = [], []

    def hint(self, text):
        self.told.append((now(), json.loads(text)))
        if self._obedient:
            asyncio.get_running_loop().call_later(0.05, self._host.leaves, self)

    def hang_up(self, code):
        self.hung_up.append((now(), code))
        self._host.leaves(self)

    async def flush(self):
        pass


class Played:
    """A host with so many users, each with as many phones; the others have room for all of them, unless told otherwise."""

    def __init__(self, users, *, phones=1, obedient=True):
        self.by_user = {f"user {n}": [] for n in range(users)}
        self.phones = [Phone(self, user, obedient=obedient) for user in self.by_user for _ in range(phones)]
        for phone in self.phones:
            self.by_user[phone.user].append(phone)
        self.asked = []
        self.answers = lambda user: URL

    def sockets(self):
        return self.by_user

    def leaves(self, phone):
        if phone in self.by_user.get(phone.user, ()):
            self.by_user[phone.user].remove(phone)
            if not self.by_user[phone.user]:
                del self.by_user[phone.user]

    async def place_of(self, user):
        self.asked.append((now(), user))
        answer = self.answers(user)
        return await answer if asyncio.iscoroutine(answer) else answer

    def told_at(self):
        """When each hint was sent, in seconds."""
        return [at for phone in self.phones for at, _ in phone.told]


def now():
    return asyncio.get_running_loop().time()


def evacuated(host, seconds, *, lasts=60.0, is_last=False):
    """Have it emptied: until it is, if this is its end, or for so long."""

    async def run():
        evacuation = Evacuation(host, seconds, is_last=is_last)
        if is_last:
            await evacuation.done()
        else:
            await asyncio.sleep(lasts)
            evacuation.cancel()
        return now()

    with asyncio.Runner(loop_factory=Jumping) as runner:
        return runner.run(run())


@pytest.mark.parametrize("is_last", [False, True])
def test_many_users_are_told_one_by_one_over_the_whole_time(is_last):
    host = Played(400)

    evacuated(host, 2.0, is_last=is_last)

    # One every 5 ms: the hosts to which they go get 200 a second, and not 400 at once.
    assert host.told_at() == pytest.approx([n * 0.005 for n in range(400)], abs=1e-6)
    assert not any(phone.hung_up for phone in host.phones)


def test_few_users_are_told_within_less():
    host = Played(12)

    evacuated(host, 60.0)

    assert host.told_at() == pytest.approx([n * 0.01 for n in range(12)], abs=1e-6)


def test_all_phones_of_a_user_are_told_together_and_each_once():
    host = Played(100, phones=3, obedient=False)

    evacuated(host, 2.0, lasts=4.0)

    assert host.told_at() == pytest.approx([n // 3 * 0.01 for n in range(300)], abs=1e-6)
    assert [frame for phone in host.phones for _, frame in phone.told] == [
        {"type": "reconnect", "url": URL, "after_ms": AFTER_MS}
    ] * 300
    assert [user for _, user in host.asked] == [f"user {n}" for n in range(100)]


@pytest.mark.parametrize("is_last", [False, True])
def test_who_stays_is_hung_up_as_much_later_as_was_promised(is_last):
    host = Played(100, obedient=False)
    patience_s = LAST_AFTER_MS / 1000 + LAST_PATIENCE_S if is_last else AFTER_MS / 1000 + PATIENCE_S

    evacuated(host, 2.0, is_last=is_last)

    for phone in host.phones:
        ((told, _),) = phone.told
        ((ended, code),) = phone.hung_up
        assert code == CloseCode.RESTART
        assert patience_s - 1e-6 <= ended - told <= patience_s + LOOK_S + 1e-6


def test_the_end_of_a_process_is_not_put_off_by_who_stays():
    host = Played(400, obedient=False)

    ended = evacuated(host, 1.5, is_last=True)

    assert ended <= 1.5 + LAST_PATIENCE_S + 0.2 + 1e-6
    assert len(host.told_at()) == 400
    # Those who were told last have been told nothing but that; the process hangs up as it ends.
    assert 0 < sum(bool(phone.hung_up) for phone in host.phones) < 400


@pytest.mark.parametrize("nowhere", ["no host has room", "nobody can be asked"])
def test_users_for_whom_there_is_no_room_stay_and_are_asked_about_again(nowhere):
    host = Played(20)

    def answer(user):
        if now() >= 3.0:
            return URL
        if nowhere == "nobody can be asked":
            raise RegistryAway
        return None

    host.answers = answer
    evacuated(host, 2.0)

    assert all(3.0 <= at <= 3.0 + ASK_AGAIN_S + 20 * 0.01 + LOOK_S for at in host.told_at())
    asked = [at for at, user in host.asked if user == "user 0"]
    assert all(later - at >= ASK_AGAIN_S - 1e-6 for at, later in pairwise(asked))
    assert len(host.told_at()) == 20


def test_at_the_end_of_a_process_whoever_can_go_nowhere_is_told_to_ask():
    host = Played(20)
    host.answers = lambda user: None

    evacuated(host, 2.0, is_last=True)

    frames = [frame for phone in host.phones for _, frame in phone.told]
    assert frames == [{"type": "reconnect", "url": None, "after_ms": LAST_AFTER_MS}] * 20


def test_who_was_waited_for_is_not_made_up_for_by_a_rush():
    """An answer takes 30 s. A second's worth of users is told at once then, and the others evenly as before."""
    host = Played(400)

    async def slowly():
        await asyncio.sleep(30)
        return URL

    host.answers = lambda user: slowly() if user == "user 0" else URL
    evacuated(host, 2.0)

    told = sorted(host.told_at())
    assert told[0] == pytest.approx(30.0)
    assert sum(at < 30.004 for at in told) == pytest.approx(200, abs=2)
    assert told[-1] == pytest.approx(30.0 + 1.0, abs=0.02)


def test_a_user_who_cannot_be_moved_does_not_keep_the_others():
    host = Played(50)

    def answer(user):
        if user == "user 0":
            raise RuntimeError("this one's place cannot be read")
        return URL

    host.answers = answer
    evacuated(host, 2.0, lasts=2.0)

    assert set(host.by_user) == {"user 0"}
    assert len(host.told_at()) == 49
