"""What the registry in ZooKeeper has yet to take away is not forgotten while it cannot: such a node counts for as long as its session."""

import pytest

from delivery.registry import RegistryAway, zookeeper
from delivery.registry.zookeeper import ZooKeeperRegistry
from delivery.registry.zookeeper_session import Node


class Session:
    """A session that is away for as many deletions as it is told; keeps what was deleted."""

    def __init__(self, *away):
        self.away, self.asked, self.deleted = set(away), 0, []
        self.words = {}

    def delete(self, paths):
        paths = list(paths)
        self.asked += 1
        if self.asked in self.away:
            raise RegistryAway
        self.deleted += paths

    def children(self, paths):
        return [[] for _ in paths]

    def create(self, path, word):
        self.words[path] = word
        return True

    def nodes(self, paths):
        return [Node(self.words[path], 0, 0, 0) for path in paths]


@pytest.fixture
def remembering(monkeypatch):
    """Makes a registry on such a session, with these users sent somewhere so long ago that they are to be forgotten."""
    monkeypatch.setattr(zookeeper, "COUNTED_S", 0.0)

    def make(session, users):
        registry = ZooKeeperRegistry("zookeeper://127.0.0.1:1")
        registry._session = session
        for user in users:
            registry._remember("web-1", user)
        return registry

    return make


def test_who_could_not_be_forgotten_is_forgotten_at_the_next_turn(remembering):
    session = Session(1)
    registry = remembering(session, ["alice", "bob"])

    with pytest.raises(RegistryAway):
        registry._tidy()
    registry._tidy()

    assert session.deleted == ["/sent/web-1/alice", "/sent/web-1/bob"]
    registry._tidy()
    assert len(session.deleted) == 2, "and only once"


def test_of_a_crowd_what_was_done_is_not_asked_again(remembering):
    session = Session(3)
    users = [f"user-{number:04d}" for number in range(1_000)]
    registry = remembering(session, users)

    with pytest.raises(RegistryAway):
        registry._tidy()
    before = len(session.deleted)
    registry._tidy()

    assert 0 < before < len(users)
    assert session.deleted == [f"/sent/web-1/{user}" for user in users]


def test_who_was_sent_again_by_somebody_else_stays(remembering):
    session = Session()
    registry = remembering(session, ["alice", "bob"])
    session.words["/sent/web-1/alice"] = b"of another process"

    registry._tidy()

    assert session.deleted == ["/sent/web-1/bob"]
