"""Who may change what, in any room that can come about."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chat import roles
from chat.roles import Role
from kernel.errors import DomainError, Forbidden

people = st.integers(1, 12).map(lambda number: UUID(int=number))


@st.composite
def groups(draw):
    """Everybody's role in a group: one owner, and others."""
    everybody = draw(st.lists(people, min_size=1, max_size=8, unique=True))
    others = {person: draw(st.sampled_from([Role.ADMIN, Role.MEMBER])) for person in everybody[1:]}
    return {everybody[0]: Role.OWNER, **others}


def allowed(check, *args):
    try:
        check(*args)
    except DomainError:
        return False
    return True


@given(group=groups(), user=people, role=st.sampled_from(["owner", "admin", "member", "king"]))
def test_whatever_is_allowed_leaves_a_room_with_people_one_owner(group, user, role):
    for by in group:
        after = [group]
        if allowed(roles.check_may_remove, group, by, user):
            after.append({person: group[person] for person in group if person != user})
        if allowed(roles.check_may_leave, group, by):
            after.append({person: group[person] for person in group if person != by})
        if allowed(roles.check_may_set_role, group, by, user, role):
            after.append({**group, user: role})
        if allowed(roles.check_may_hand_over, group, by, user):
            after.append({**group, by: Role.ADMIN, user: Role.OWNER})

        for room in after:
            assert list(room.values()).count(Role.OWNER) == (1 if room else 0)


@given(group=groups(), user=people)
def test_nobody_puts_out_somebody_of_the_same_rank_or_above(group, user):
    rank = {Role.OWNER: 2, Role.ADMIN: 1, Role.MEMBER: 0}
    for by in group:
        if allowed(roles.check_may_remove, group, by, user):
            assert rank[group[by]] > rank[group[user]]


@given(group=groups(), user=people)
def test_a_plain_member_changes_nobody_but_by_leaving(group, user):
    for by, own in group.items():
        if own == Role.MEMBER:
            assert not allowed(roles.check_may_add, group, by)
            assert not allowed(roles.check_may_remove, group, by, user)
            assert not allowed(roles.check_may_set_role, group, by, user, "admin")
            assert not allowed(roles.check_may_hand_over, group, by, user)
            assert allowed(roles.check_may_leave, group, by)


@given(group=groups(), user=people)
def test_a_member_learns_of_the_role_before_the_target(group, user):
    """A plain member cannot find out by trying who is in the room of strangers' ids."""
    for by, own in group.items():
        if own == Role.MEMBER:
            try:
                roles.check_may_remove(group, by, user)
            except DomainError as refusal:
                assert type(refusal) is Forbidden
