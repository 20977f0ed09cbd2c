"""`manage.py demo` on the live system, and what it would say if something were wrong."""

import asyncio
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.demo.ledger import Entry, Line, RoomLedger, check
from config.demo.play import cast_of, parts_of, read_play

ROOT = Path(__file__).parents[2]


async def run_demo(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "manage.py", "demo", *arguments, cwd=ROOT,
        env=os.environ | {"COLUMNS": "160"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(400)
async def test_ten_seconds_of_the_play_arrive_whole_on_every_device(system):
    status, output = await run_demo("--seconds", "10", "--url", system.url)

    assert status == 0, output
    assert "23 users" in output
    assert "Nothing lost, nothing doubled" in output
    # The bar counts what the table counts.
    (done,) = re.findall(r"^delivered +\S+ +(\d+/\d+)", output, re.MULTILINE)
    (summed,) = re.findall(r"^ ?all +\d+ +(\d+/\d+)", output, re.MULTILINE)
    assert done == summed
    # The scene beside the play: what a client writes that does not care about a block.
    assert "5 lines: 0 arrive. Staff: 1 alert, 5 messages." in " ".join(output.split())
    # And the last one: what a user reads whose only device is gone.
    assert "reads all of 5: 2 sent, 1 received, 2 written while she had none." in " ".join(output.split())


async def test_without_a_system_it_says_so(unused_tcp_port):
    status, output = await run_demo("--url", f"http://127.0.0.1:{unused_tcp_port}", "--seconds", "1", "--patience", "1")

    assert status != 0
    assert "Unreachable" in output
    assert "Traceback" not in output
    assert "System check" not in output  # what is to be set in production is no matter of the demo's


class TestThePlay:
    def test_it_is_all_there(self):
        scenes = read_play()

        assert len(scenes) == 17
        assert sum(len(scene.speeches) for scene in scenes) == 978
        assert scenes[0].speeches[0].speaker == "LEONATO"
        assert scenes[0].speeches[0].lines[0] == "I learn in this letter that Don Peter of Arragon"

    def test_two_who_talk_alone_have_a_direct_room(self):
        scenes = read_play()
        parts = parts_of(scenes, cast_of(scenes, 30))

        assert sum(part.lines for part in parts) == 2582
        assert {part.name for part in parts if part.is_direct} == {"I.II", "II.II"}

    def test_a_pair_has_one_room_for_all_its_scenes(self):
        scenes = read_play()
        (part,) = parts_of(scenes, ["LEONATO", "ANTONIO"])

        assert part.is_direct
        assert len(part.name.split(", ")) > 1


class TestTheCheck:
    """Alice (one device) and Bob (two) in one room: Alice says three things, Bob one."""

    LINES = [
        Line("m1", "alice", "phone-a", "one"), Line("m2", "alice", "phone-a", "two"),
        Line("m3", "bob", "phone-b", "three"), Line("m4", "alice", "phone-a", "four"),
    ]  # fmt: skip

    @pytest.fixture
    def ledger(self):
        return {"kitchen": RoomLedger("I.I", ("alice", "bob"), list(self.LINES))}

    @pytest.fixture
    def mailboxes(self):
        def heard():
            said = [Entry(seq, x.id, "kitchen", x.user, x.device, x.text) for seq, x in enumerate(self.LINES, start=2)]
            return [Entry(1), *said]

        return {"alice": {"1": heard()}, "bob": {"1": heard(), "2": heard()}}

    def test_all_is_well(self, ledger, mailboxes):
        assert check(ledger, mailboxes) == []

    def kinds(self, ledger, mailboxes, device="2"):
        faults = check(ledger, mailboxes)
        assert {(fault.user, fault.device) for fault in faults} == {("bob", device)}, faults
        return {fault.kind for fault in faults}

    def test_a_lost_one_in_the_middle_is_noticed(self, ledger, mailboxes):
        del mailboxes["bob"]["2"][2]
        assert self.kinds(ledger, mailboxes) == {"numbers", "lost"}

    def test_a_lost_one_at_the_end_is_noticed(self, ledger, mailboxes):
        del mailboxes["bob"]["2"][-1]
        assert self.kinds(ledger, mailboxes) == {"numbers", "lost"}

    def test_one_that_nobody_got_is_noticed(self, ledger, mailboxes):
        for devices in mailboxes.values():
            for heard in devices.values():
                heard.pop()
        faults = check(ledger, mailboxes)
        assert {fault.kind for fault in faults} == {"lost"}
        assert len(faults) == 3

    def test_a_double_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"].append(replace(mailboxes["bob"]["2"][2], seq=6))
        assert "doubled" in {fault.kind for fault in check(ledger, mailboxes)}

    def test_an_entry_heard_twice_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"].insert(3, mailboxes["bob"]["2"][2])
        assert self.kinds(ledger, mailboxes) == {"numbers", "doubled"}

    def test_two_entries_heard_the_wrong_way_round_are_noticed(self, ledger, mailboxes):
        heard = mailboxes["bob"]["2"]
        heard[1], heard[2] = heard[2], heard[1]
        assert self.kinds(ledger, mailboxes) == {"numbers", "order", "text"}

    def test_two_messages_with_each_others_numbers_are_noticed(self, ledger, mailboxes):
        heard = mailboxes["bob"]["2"]
        heard[1], heard[2] = replace(heard[2], seq=2), replace(heard[1], seq=3)
        assert self.kinds(ledger, mailboxes) == {"differs", "order", "text"}

    def test_another_order_between_speakers_is_noticed_even_if_all_devices_agree(self, ledger, mailboxes):
        for devices in mailboxes.values():
            for heard in devices.values():
                heard[2], heard[3] = replace(heard[3], seq=3), replace(heard[2], seq=4)
        assert {fault.kind for fault in check(ledger, mailboxes)} == {"text"}

    def test_a_changed_word_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"][1] = replace(mailboxes["bob"]["2"][1], text="won")
        assert self.kinds(ledger, mailboxes) == {"differs", "text"}

    def test_a_stranger_s_message_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"].append(Entry(6, "m9", "garden", "mallory", "phone-m", "boo"))
        assert "foreign" in {fault.kind for fault in check(ledger, mailboxes)}

    def test_a_refused_one_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"][1] = replace(mailboxes["bob"]["2"][1], refused=True)
        assert "late" in self.kinds(ledger, mailboxes)

    def test_a_number_that_was_left_out_is_noticed(self, ledger, mailboxes):
        heard = mailboxes["bob"]["2"]
        heard[-1] = replace(heard[-1], seq=6)
        assert "numbers" in {fault.kind for fault in check(ledger, mailboxes)}

    def test_a_silent_device_is_noticed(self, ledger, mailboxes):
        mailboxes["bob"]["2"].clear()
        assert self.kinds(ledger, mailboxes) == {"numbers", "lost"}
