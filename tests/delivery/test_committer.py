"""The committer: what has arrived meanwhile is committed together, in order, whatever happens to a batch."""

import threading

import pytest

from kernel.batching import Committer, Stopped

PATIENCE_S = 5


class Ledger:
    """What was committed, batch by batch; may be held up, and may fail."""

    def __init__(self):
        self.batches = []
        self.news = threading.Condition()
        self.open = threading.Event()
        self.open.set()
        self.fails = False

    def commit(self, batch):
        assert self.open.wait(PATIENCE_S)
        with self.news:
            self.batches.append(list(batch))
            self.news.notify_all()
        if self.fails:
            raise RuntimeError("a batch that fails outside its own care")

    def wait_for(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.items) >= count, PATIENCE_S), self.batches

    @property
    def items(self):
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def committer(ledger):
    made = Committer("test", ledger.commit, most=10)
    made.start()
    yield made
    ledger.open.set()
    made.stop(PATIENCE_S)


def test_an_idle_one_commits_at_once(ledger, committer):
    committer.add(["hello"])
    ledger.wait_for(1)

    assert ledger.batches == [["hello"]]


def test_what_arrives_during_a_commit_goes_together_and_in_order(ledger, committer):
    ledger.open.clear()
    committer.add([0])
    for number in range(1, 25):
        committer.add([number])
    ledger.open.set()
    ledger.wait_for(25)

    assert ledger.items == list(range(25))
    assert len(ledger.batches) <= 5
    assert max(map(len, ledger.batches)) <= 10


def test_each_thread_s_items_keep_their_order(ledger, committer):
    def adds(name):
        for number in range(200):
            committer.add([(name, number)])

    threads = [threading.Thread(target=adds, args=(name,)) for name in ("alice", "bob", "carol")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.wait_for(600)

    for name in ("alice", "bob", "carol"):
        assert [number for who, number in ledger.items if who == name] == list(range(200))


def test_it_survives_a_batch_that_fails(ledger, committer):
    ledger.fails = True
    committer.add(["bad"])
    ledger.wait_for(1)
    ledger.fails = False
    committer.add(["good"])
    ledger.wait_for(2)

    assert committer.is_alive()


def test_it_knows_how_much_waits(ledger, committer):
    ledger.open.clear()
    committer.add([1, 2, 3])
    assert committer.waiting == 3
    ledger.open.set()
    ledger.wait_for(3)
    committer.stop(PATIENCE_S)
    assert committer.waiting == 0


def test_it_knows_how_much_that_weighs(ledger):
    committer = Committer("test", ledger.commit, weigh=len)
    committer.start()
    ledger.open.clear()
    committer.add(["one", "three"])
    assert (committer.waiting, committer.weight) == (2, 8)
    ledger.open.set()
    ledger.wait_for(2)
    committer.stop(PATIENCE_S)
    assert (committer.waiting, committer.weight) == (0, 0)


def test_a_batch_is_not_heavier_than_it_may_be_but_for_one_item_that_is(ledger):
    committer = Committer("test", ledger.commit, weigh=len, heaviest=5)
    committer.add(["one", "of", "four", "unbelievable", "days", "a", ""])
    committer.start()
    ledger.wait_for(7)
    committer.stop(PATIENCE_S)

    assert ledger.batches[:4] == [["one", "of"], ["four"], ["unbelievable"], ["days", "a", ""]]


def test_poked_it_commits_even_nothing(ledger, committer):
    committer.poke()
    with ledger.news:
        assert ledger.news.wait_for(lambda: ledger.batches, PATIENCE_S)

    assert ledger.batches == [[]]


def test_stopped_it_commits_what_has_arrived(ledger, committer):
    ledger.open.clear()
    committer.add(list(range(35)))
    threading.Timer(0.05, ledger.open.set).start()
    committer.stop(PATIENCE_S)

    assert not committer.is_alive()
    assert ledger.items == list(range(35))


def test_after_its_end_it_takes_nothing_more(ledger):
    committer = Committer("test", ledger.commit)
    committer.start()
    committer.add(["hello"])
    committer.stop(PATIENCE_S)

    with pytest.raises(Stopped):
        committer.add(["too late"])
    assert ledger.items == ["hello"]
