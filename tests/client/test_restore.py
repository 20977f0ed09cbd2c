"""Bob's only device is wiped; a new one reads everything: the bench's own code, at a smaller size."""

from bench.restore import restore, talk
from client import FLOOR


async def test_a_new_device_reads_all_that_was_ever_sent_and_received(system, tmp_path):
    past = await talk(system.url, tmp_path, messages=600, epochs=30, strength=FLOOR)
    (tmp_path / "bob.db").unlink()

    restored = await restore(system.url, tmp_path / "new.db", past)

    assert (past.messages, past.epochs) == (600, 30)
    assert restored.missing == 0
    assert restored.total_s < 15
    # What is asked grows by pages of 500, not by epochs nor by messages.
    assert restored.requests <= 12
