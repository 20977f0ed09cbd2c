"""A device's copy of contacts and blocks: the same as the server's in whatever order it comes; and what it claims to have."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.connections.copy import Copy
from client.events import Hub
from client.protocol.book import REPORT_S, Progress, Reports, Run, is_news
from client.protocol.changes import Change, rebased, who_blocks
from client.protocol.ids import UserId
from client.store import Store
from tests.client.address_book import CLOSED, MALLORY, OPEN, AddressBook, relation
from tests.client.shapes import ALICE, LAPTOP, PHONE

CAROL = UserId("carol")
PEERS = [ALICE, MALLORY, CAROL]


class Remembered:
    """The rules, with a dict for a store."""

    def __init__(self) -> None:
        self.relations, self.progress = {}, Progress()

    def keep(self, said) -> None:
        if is_news(said, self.relations.get(said.user)):
            self.relations[said.user] = said

    def arrived(self, entry) -> None:
        if entry.connection:
            self.keep(entry.connection)
        self.progress = self.progress.stored(entry.version)

    def paged(self, run, since, page):
        for said in page.relations:
            self.keep(said)
        if not run.expects(since, page):
            return run
        behind = run.after(page)
        self.progress = (
            self.progress.completed(page.version) if behind is None else self.progress.heard_of(page.version)
        )
        return behind


class Stored:
    """The same with the store of a device."""

    def __init__(self) -> None:
        self.store = Store(":memory:")
        self.copy = Copy(self.store, Hub(), lambda a_block: None)
        self.arrived, self.paged = self.copy.arrived, self.copy.paged

    @property
    def relations(self):
        return {said.user: said for said in self.store.connections.all(None, "")}

    @property
    def progress(self):
        return self.store.connections.progress()


class TestInAnyOrder:
    @pytest.mark.parametrize("kind", [Remembered, Stored])
    @settings(deadline=None, max_examples=150)
    @given(data=st.data())
    def test_what_a_device_claims_it_has_and_in_the_end_it_has_all(self, kind, data):
        server, device = AddressBook(), kind()
        run, read = None, []  # the pages of a run that were read, with their `since`

        def change():
            if data.draw(st.integers(0, 5), label="settings") == 0:
                server.set(data.draw(st.sampled_from([OPEN, CLOSED])))
            else:
                server.change(data.draw(st.sampled_from(PEERS)), blocked=data.draw(st.booleans()))

        def hear():
            if server.entries:
                device.arrived(data.draw(st.sampled_from(server.entries), label="entry"))

        def hear_the_next():
            if device.progress.version < len(server.entries):
                device.arrived(server.entries[device.progress.version])

        def page():
            nonlocal run
            run = run or Run(device.progress.version)
            since, as_of = run.since, server.version
            if data.draw(st.booleans(), label="a change between the version and the rows"):
                change()
            read.append((since, server.page(since, data.draw(st.integers(1, 2), label="limit"), as_of=as_of)))
            run = device.paged(run, *read[-1])

        def page_again():
            nonlocal run
            if read and run:
                run = device.paged(run, *data.draw(st.sampled_from(read), label="an old page"))

        for _ in range(data.draw(st.integers(0, 25), label="steps")):
            data.draw(st.sampled_from([change, hear, hear_the_next, page, page_again]))()
            claimed = server.past[device.progress.version]
            assert all(device.relations[user].version >= said.version for user, said in claimed.items())

        run = Run(device.progress.version)
        while run:
            run = device.paged(run, run.since, server.page(run.since, 2))
        assert device.relations == server.relations
        assert device.progress.version == server.version
        assert not device.progress.is_behind

    @given(st.data())
    def test_entries_alone_in_any_order_make_the_same_state(self, data):
        server, device = AddressBook(), Remembered()
        for _ in range(12):
            server.change(data.draw(st.sampled_from(PEERS)), blocked=data.draw(st.booleans()))

        for entry in data.draw(st.permutations(server.entries * 2)):
            device.arrived(entry)

        assert device.relations == server.relations
        assert device.progress.heard == server.version

    def test_settings_are_those_of_the_newest_version(self):
        device, server = Stored(), AddressBook()
        for settings_ in (OPEN, CLOSED, OPEN):
            server.set(settings_)
        first, closed, last = server.entries

        for entry in (first, last, closed):
            device.arrived(entry)
        assert device.store.connections.settings() == OPEN

        server.set(CLOSED)
        device.paged(Run(1), 1, server.page(1, 9))
        device.arrived(last)
        assert device.store.connections.settings() == CLOSED
        assert device.store.connections.consistency == "confirm"


class TestAGap:
    def test_what_lies_behind_it_is_stored_but_not_claimed(self):
        progress = Progress(5, 5).stored(7)

        assert (progress.version, progress.is_behind) == (5, True)
        assert progress.stored(6).version == 6
        assert progress.completed(9) == Progress(9, 9)

    def test_an_old_page_cannot_take_a_claim_back(self):
        assert Progress(9, 9).completed(7) == Progress(9, 9)


class TestReports:
    def test_a_block_is_reported_at_once(self):
        reports = Reports(told=4)
        reports.stored(10.0, at_once=False)
        assert reports.due_at(5) == 10.0 + REPORT_S
        reports.stored(11.0, at_once=True)
        assert reports.due_at(5) == 11.0

    def test_many_changes_make_one_report(self):
        reports = Reports(told=0)
        for n in range(50):
            reports.stored(10.0 + n / 100, at_once=False)
        assert reports.due_at(50) == 10.0 + REPORT_S
        reports.begins()
        reports.arrived(50)
        assert reports.due_at(50) == math.inf

    def test_one_that_failed_goes_again_and_what_came_meanwhile_goes_too(self):
        reports = Reports(told=0)
        reports.stored(1.0, at_once=True)
        reports.begins()
        reports.stored(2.0, at_once=False)
        reports.failed(2.5)
        assert reports.due_at(2) == 2.5
        reports.begins()
        reports.stored(3.0, at_once=False)
        reports.arrived(2)
        assert reports.due_at(2) == math.inf
        assert reports.due_at(3) == 3.0 + REPORT_S


def change(position, action, base_version=5, user=ALICE):
    return Change(position, action, user, None, base_version)


class TestALaterChangeOfTheSameDevice:
    def test_is_not_outdated_by_the_earlier_one(self):
        made = relation(version=6, by=PHONE, blocked=True)
        assert rebased(change(2, "unblock"), change(1, "block"), made, PHONE).base_version == 6

    @pytest.mark.parametrize(
        ("later", "earlier", "made"),
        [
            (change(2, "unblock"), change(1, "block"), relation(version=6, by=LAPTOP, blocked=True)),
            (change(2, "unblock"), change(1, "block"), relation(version=6, by=None)),
            # The user was asked about the note, on version 7, and not about this.
            (change(2, "unblock"), change(1, "note", 7), relation(version=8, by=PHONE, blocked=True)),
            (change(2, "unblock", user=CAROL), change(1, "block"), relation(version=6, by=PHONE)),
            (change(1, "unblock"), change(2, "block"), relation(version=6, by=PHONE)),
        ],
    )
    def test_but_keeps_its_version_when_somebody_else_may_have_been_between(self, later, earlier, made):
        assert rebased(later, earlier, made, PHONE) == later


class TestWhoMayNotBeWrittenTo:
    @pytest.mark.parametrize(
        ("said", "pressed", "by"),
        [
            (None, [], None),
            (relation(), [], None),
            (relation(blocked=True), [], "you"),
            (relation(blocked_by=True), [], "peer"),
            (relation(blocked=True, blocked_by=True), [], "you"),
            # A block counts from the press of the button; lifting it from the server's answer.
            (None, ["block"], "you"),
            (relation(blocked_by=True), ["block"], "you"),
            (relation(blocked=True), ["unblock"], "you"),
            (relation(), ["block", "unblock"], None),
            (relation(), ["unblock", "block", "note"], "you"),
        ],
    )
    def test_by(self, said, pressed, by):
        assert who_blocks(said, [change(n, action) for n, action in enumerate(pressed)]) == by
