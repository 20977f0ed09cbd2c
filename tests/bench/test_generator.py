"""The generator must notice what it exists to notice, or its figures say nothing."""

import asyncio
import base64
from uuid import UUID

import pytest

from bench.generator import wire
from bench.generator.device import Device, Ledger
from bench.generator.run import quantiles
from kernel import ids

RUN = "abcde"


class Listening:
    """A watcher that only remembers."""

    def __init__(self):
        self.came = []

    def arrived(self, device, sender, number):
        self.came.append((sender, number))

    def accepted(self, device, number): ...


def author():
    return author_of(0)


def author_of(index, run=RUN):
    room, bodies = "019ab0c4-0000-7000-8000-000000000001", [wire.opaque(200), wire.opaque(200)]
    return wire.Author(room=room, epoch=3, run=run, index=index, alg="opaque.v1", bodies=bodies)


def entry(seq, number, *, run=RUN, device="alice-phone"):
    writer = author_of(7, run)
    writer.number = number
    return {"seq": seq, "kind": "message", "device": device, "id": writer.compose()[0], "ciphertext": wire.opaque(60)}


async def bobs_phone():
    ledger, watcher = Ledger(), Listening()
    device = Device(name="bob", token="", device_id="bob-phone", run=RUN, ledger=ledger, watcher=watcher)
    return device, ledger, watcher


def test_ids_are_uuid7_of_now_and_never_the_same():
    writer = author()

    made = [UUID(writer.compose()[0]) for _ in range(5_000)]

    assert len(set(made)) == 5_000
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    assert made == sorted(made)
    assert ids.milliseconds_of(made[0]) == pytest.approx(ids.now_ms(), abs=10_000)


def test_a_body_has_the_size_asked_for_and_is_canonical_base64url():
    text = wire.send_frame([author().compose()[1]]).decode()

    body = text.partition('"ciphertext":"')[2].partition('"')[0]
    decoded = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    assert len(decoded) == 200
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() == body


def test_an_id_tells_the_run_and_the_number_and_is_its_authors_own():
    first, second = author_of(0), author_of(1)
    made = [[writer.compose()[0] for _ in range(3_000)] for writer in (first, second)]

    for ids_of_one in made:
        assert [wire.number_of(id_, RUN) for id_ in ids_of_one] == list(range(3_000))
        assert {wire.number_of(id_, "00000") for id_ in ids_of_one} == {-1}
    assert not set(made[0]) & set(made[1])


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ([0, 1, 2], None),
        ([0, 2], "lost or reordered"),
        ([0, 1, 1], "doubled or reordered"),
        ([1, 0], "lost or reordered"),
    ],
)
def test_it_notices_loss_doubles_and_disorder(numbers, complaint):
    async def story():
        phone, ledger, watcher = await bobs_phone()
        phone._take([entry(seq, number) for seq, number in enumerate(numbers, 1)])
        return ledger, watcher

    ledger, watcher = asyncio.run(story())

    assert len(watcher.came) == len(numbers)
    assert (complaint in ledger.errors) if complaint else not ledger.errors


def test_it_notices_a_gap_in_the_mailbox():
    async def story():
        phone, ledger, _ = await bobs_phone()
        phone._take([entry(1, 0), entry(3, 1)])
        return ledger

    assert "seq not dense" in asyncio.run(story()).errors


def test_messages_of_an_earlier_run_do_not_count():
    async def story():
        phone, ledger, watcher = await bobs_phone()
        phone._take([entry(1, 7, run="00000000"), entry(2, 0)])
        return ledger, watcher

    ledger, watcher = asyncio.run(story())

    assert watcher.came == [("alice-phone", 0)]
    assert not ledger.errors


def test_quantiles_are_milliseconds():
    assert quantiles([n / 1000 for n in range(1, 101)]) == pytest.approx({"p50": 51, "p90": 91, "p99": 100, "max": 100})
