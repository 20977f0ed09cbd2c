"""The low-water mark: where a drain starts to look, without ever looking past something."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.drain import EVERYTHING, Look, Since
from delivery.drainer import FULL_LOOK_S, FULL_LOOK_SHARE, MARK_TRAILS_S, Mark

NOW = 1_000.0
QUEUES = "{recipients.00,recipients.01}"


def fresh():
    """A mark that has had its first look, at everything."""
    mark = Mark()
    mark.since(NOW)
    return mark


def test_the_first_look_is_a_full_one():
    assert Mark().since(NOW) == EVERYTHING


def test_it_follows_when_all_who_wrote_at_an_earlier_look_have_ended():
    mark = fresh()
    mark.looked(Look(50, 64, xmin=900, xmax=910, queues=QUEUES), NOW)
    assert mark.since(NOW) == Since(64, QUEUES, 0)

    mark.looked(Look(70, 64, xmin=909, xmax=930, queues=QUEUES), NOW)
    assert mark.since(NOW) == Since(64, QUEUES, 0), "909 may still add a row below 50"

    mark.looked(Look(80, 64, xmin=910, xmax=940, queues=QUEUES), NOW)
    assert mark.since(NOW) == Since(64, QUEUES, 50)


def test_it_stays_at_a_row_that_appeared_below():
    mark = fresh()
    mark.looked(Look(50, 64, xmin=900, xmax=910, queues=QUEUES), NOW)

    mark.looked(Look(40, 64, xmin=910, xmax=920, queues=QUEUES), NOW)

    assert mark.since(NOW) == Since(64, QUEUES, 40)


def test_a_transaction_that_stays_open_holds_it_for_a_minute_only():
    mark = fresh()
    mark.looked(Look(50, 64, xmin=900, xmax=910, queues=QUEUES), NOW)

    mark.looked(Look(70, 64, xmin=900, xmax=990, queues=QUEUES), NOW + MARK_TRAILS_S)

    assert mark.since(NOW + MARK_TRAILS_S) == EVERYTHING, "it is time for that"
    assert mark.since(NOW + MARK_TRAILS_S) == Since(64, QUEUES, 50)


def test_another_map_of_the_slots_begins_anew():
    mark = fresh()
    mark.looked(Look(50, 64, xmin=910, xmax=910, queues=QUEUES), NOW)
    mark.looked(Look(60, 64, xmin=920, xmax=920, queues=QUEUES), NOW)
    assert mark.since(NOW) == Since(64, QUEUES, 50)

    mark.looked(Look(55, 65, xmin=930, xmax=930, queues=QUEUES), NOW)

    assert mark.since(NOW) == Since(65, QUEUES, 0)


def test_another_set_of_locked_queues_begins_anew_too():
    """A queue may have come to the group while its others were being locked: its slots were not looked at."""
    mark = fresh()
    mark.looked(Look(50, 64, xmin=910, xmax=910, queues=QUEUES), NOW)
    mark.looked(Look(60, 64, xmin=920, xmax=920, queues=QUEUES), NOW)
    assert mark.since(NOW) == Since(64, QUEUES, 50)

    mark.looked(Look(55, 64, xmin=930, xmax=930, queues="{recipients.00,recipients.01,recipients.08}"), NOW)

    assert mark.since(NOW).id == 0


def test_now_and_then_it_looks_at_everything_and_then_goes_on():
    mark = fresh()
    mark.looked(Look(50, 64, xmin=910, xmax=910, queues=QUEUES), NOW)
    mark.looked(Look(60, 64, xmin=920, xmax=920, queues=QUEUES), NOW)

    assert mark.since(NOW + FULL_LOOK_S) == EVERYTHING
    assert mark.since(NOW + FULL_LOOK_S + 0.1) == Since(64, QUEUES, 50)


@dataclass
class Writers:
    """Transactions as PostgreSQL sees them: ids in order of beginning; row ids given before commit, in any interleaving."""

    next_xid: int = 1
    next_id: int = 1
    open: dict[int, list[int]] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    def begin(self):
        self.open[self.next_xid] = [self.next_id]
        self.next_xid += 1
        self.next_id += 1

    def insert(self, which):
        if self.open:
            sorted_open = sorted(self.open)
            self.open[sorted_open[which % len(sorted_open)]].append(self.next_id)
            self.next_id += 1

    def commit(self, which):
        if self.open:
            self.pending.update(self.open.pop(sorted(self.open)[which % len(self.open)]))

    def look(self, since):
        """What TAKE sees of one map: the oldest pending rows from `since` on, and its snapshot."""
        seen = sorted(id for id in self.pending if id >= since.id)
        return seen, min(self.open, default=self.next_xid), self.next_xid


@settings(max_examples=400)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["begin", "insert", "commit", "drain"]), st.integers(0, 3)),
        min_size=20,
        max_size=100,
    )
)
def test_no_row_ever_appears_below_it(steps):
    writers, mark = Writers(), fresh()
    for step, which in steps:
        match step:
            case "begin":
                writers.begin()
            case "insert":
                writers.insert(which)
            case "commit":
                writers.commit(which)
            case "drain":
                since = mark.since(NOW)
                assert all(id >= since.id for id in writers.pending), "a pending row below the mark is looked past"
                seen, xmin, xmax = writers.look(since)
                if seen:
                    writers.pending -= set(seen[: which + 1])
                    mark.looked(Look(seen[0], 64, xmin, xmax, QUEUES), NOW)


def test_after_a_dear_look_at_everything_the_next_one_comes_the_later():
    """While somebody holds a snapshot open it walks all that was delivered since."""
    mark = Mark()
    assert mark.since(NOW) == EVERYTHING
    mark.took(8.0)
    mark.looked(Look(50, 64, xmin=900, xmax=910, queues=QUEUES), NOW)
    mark.looked(Look(70, 64, xmin=910, xmax=930, queues=QUEUES), NOW)

    assert mark.since(NOW + 8.0 * FULL_LOOK_SHARE - 1).id == 50
    assert mark.since(NOW + 8.0 * FULL_LOOK_SHARE) == EVERYTHING
