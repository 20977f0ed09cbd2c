"""The rules by themselves: whatever two people do to each other, in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from connections.rules import CONTACT, INCOMING, NONE, REQUESTED, Action, Side, decide, decide_opening, is_so
from kernel.errors import DomainError

# (whose doing, what): opening a room is one of the things they do.
steps = st.lists(st.tuples(st.booleans(), st.sampled_from([*Action, "open"])), max_size=12)


def after(steps, *, disclose, strangers_wait=True):
    """Both sides after these steps, and the messages held for each that were neither released nor dropped."""
    sides = [Side(), Side()]
    for who, action in steps:
        own, peer = sides[who], sides[not who]
        try:
            if action == "open":
                outcome = decide_opening(own, peer, strangers_wait=strangers_wait)
            else:
                outcome = decide(action, own, peer, disclose=disclose, note=b"x")
        except DomainError:
            continue
        sides[who], sides[not who] = outcome.own, outcome.peer
    return sides


@given(steps)
def test_where_blocks_are_disclosed_both_sides_always_agree(steps):
    one, other = after(steps, disclose=True)

    assert {(one.state, other.state)} <= {
        (NONE, NONE), (REQUESTED, INCOMING), (INCOMING, REQUESTED), (CONTACT, CONTACT),
    }  # fmt: skip
    assert (one.blocked_by, other.blocked_by) == (other.blocked, one.blocked)
    if one.blocked or other.blocked:
        assert one.state in (NONE, CONTACT)


@given(steps, st.sampled_from(list(Action)))
def test_an_untold_block_and_its_end_change_nothing_for_the_other_side(steps, action):
    sides = after(steps, disclose=False)
    for own, peer in (sides, reversed(sides)):
        assert not own.blocked_by
        for blocking in (Action.BLOCK, Action.UNBLOCK):
            assert decide(blocking, own, peer, disclose=False).peer == peer


@given(steps, st.sampled_from([Action.ADD, Action.ACCEPT, "open"]))
def test_a_blocker_hears_nothing_of_what_an_untold_one_asks(steps, action):
    own, peer = after(steps, disclose=False)
    if not peer.blocked or own.blocked:
        return
    try:
        if action == "open":
            outcome = decide_opening(own, peer, strangers_wait=True)
        else:
            outcome = decide(action, own, peer, disclose=False)
    except DomainError:
        return
    seen = outcome.peer.state, outcome.peer.blocked, outcome.peer.blocked_by, outcome.peer.note
    assert seen == (peer.state, peer.blocked, peer.blocked_by, peer.note)
    assert outcome.own.state != NONE or own.state == NONE


@given(steps, st.booleans(), st.sampled_from(list(Action)))
def test_what_was_done_is_so(steps, disclose, action):
    own, peer = after(steps, disclose=disclose)
    try:
        outcome = decide(action, own, peer, disclose=disclose, note=b"y")
    except DomainError:
        return
    if (action, outcome.own.state) == (Action.ACCEPT, REQUESTED):
        # The request had been taken back by an untold block: it is the other one's turn now.
        assert not disclose
        return
    assert is_so(action, outcome.own, note=b"y")
    again = decide(action, outcome.own, outcome.peer, disclose=disclose, note=b"y")
    assert (again.own, again.peer) == (outcome.own, outcome.peer)
    assert not (again.release or again.forget or again.forget_there)


@given(steps, st.booleans())
def test_what_is_held_is_let_go_by_its_owner_alone(steps, disclose):
    """Nothing a stranger does opens the request box; and where one is a contact or was asked, nothing is held."""
    sides = after(steps, disclose=disclose)
    for own, peer in (sides, reversed(sides)):
        if own.held:
            assert own.state in (NONE, INCOMING)
            for action in Action:
                try:
                    outcome = decide(action, peer, own, disclose=disclose, note=b"z")
                except DomainError:
                    continue
                assert outcome.peer.held
        for action in (Action.ADD, Action.ACCEPT):
            try:
                outcome = decide(action, own, peer, disclose=disclose)
            except DomainError:
                continue
            assert not outcome.own.held
            assert outcome.release == own.held


@given(steps, st.booleans())
def test_only_whoever_blocks_lifts_the_block(steps, disclose):
    sides = after(steps, disclose=disclose)
    for own, peer in (sides, reversed(sides)):
        for action in [*Action, "open"]:
            try:
                if action == "open":
                    outcome = decide_opening(peer, own, strangers_wait=True)
                else:
                    outcome = decide(action, peer, own, disclose=disclose, note=b"z")
            except DomainError:
                continue
            assert outcome.peer.blocked == own.blocked
