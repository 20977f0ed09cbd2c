"""Ports for servers that are started one after the other, each some time after it was given its own."""

from config.supervisor import ports


def test_nobody_is_given_the_port_of_somebody_who_does_not_listen_yet(monkeypatch):
    drawn = iter([30_001, 30_001, 30_002, 30_001, 30_002, 30_003])
    monkeypatch.setattr(ports.random, "randrange", lambda *_: next(drawn))
    monkeypatch.setattr(ports, "is_free", lambda host, port: True)
    assert [ports.free() for _ in range(3)] == [30_001, 30_002, 30_003]
