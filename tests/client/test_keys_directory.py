"""Other users' keys: pinned, verified, held; who signed old messages; and what no server may tell afterwards."""

import asyncio
from itertools import pairwise
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from client import IdentityChanged, LetterlockError, Refused, Unreachable
from client.crypto import userkeys
from client.crypto.errors import BadEncoding
from client.crypto.errors import IdentityChanged as OtherIdentity
from client.crypto.keys import EncryptionKey, signing_public
from client.crypto.pins import check_change
from client.crypto.userkeys import DeviceKey
from client.events import Hub
from client.keys.changing import Step, next_key
from client.keys.directory import QUERY, Directory
from client.keys.opening import password_of
from client.keys.verifying import Verifier
from client.protocol.ids import DeviceId, UserId
from client.protocol.problems import Problem
from client.store import Store
from tests.cast import until
from tests.client.between import Between
from tests.client.conftest import bodies, has
from tests.client.sealed import PASSWORD, another_device, person
from tests.client.test_receiving import heard

ALICE, BOB = UserId("019ab0c4-0000-7000-8000-0000000000aa"), UserId("019ab0c4-0000-7000-8000-0000000000bb")


class Asked:
    """A session that answers with what a test tells it, and notes what it was asked."""

    def __init__(self, user=ALICE):
        self.user, self.documents, self.older, self.asked = user, {}, {}, []

    @property
    def signed_in(self):
        return self

    is_signed_in = True

    async def request(self, method, path, body=None, **more):
        self.asked.append((path, body))
        if path == "e2ee/users/query":
            if isinstance(self.documents, Exception):
                raise self.documents
            return {user: self.documents[user] for user in body["known"] if user in self.documents}
        try:
            return self.older[int(path.rpartition("/")[2])]
        except KeyError:
            raise Refused(Problem("not_found", 404)) from None


class Chain:
    """One identity of a user, and the documents that it signs."""

    def __init__(self, user=BOB):
        self.user, self.identity, self.devices = user, Ed25519PrivateKey.generate(), []
        first = userkeys.first(
            user, signing_public(self.identity), EncryptionKey.fresh(1).announced, self.device(1_000)
        )
        self.documents = [first.sign(self.identity)]

    def device(self, since):
        made = DeviceKey(DeviceId(str(uuid4())), signing_public(Ed25519PrivateKey.generate()), since)
        self.devices.append(made)
        return made

    def goes_on(self, change=lambda content: content):
        self.documents.append(change(self.documents[-1].next()).sign(self.identity))
        return self.documents[-1]

    @property
    def newest(self):
        return self.documents[-1]


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "alice.db")
    yield store
    store.close()


class Stage:
    """A directory, and what it told."""

    def __init__(self, asked, store):
        self.asked, self.store, self.hub, self.own = asked, store, Hub(), []
        self.news = self.hub.subscribe(0, lambda after, limit: [])
        self.now_s = 5_000
        self.opens()

    def opens(self):
        """Also again, as after a restart."""
        self.directory = Directory(self.store.keys, self.asked, self.hub, self.own_changed, lambda: self.now_s)

    async def own_changed(self, document):
        self.own.append(document)

    def told(self):
        told = list(self.news._news)
        self.news._news.clear()
        return told

    async def hears(self, document):
        """The server tells this of bob; whether it was taken."""
        self.asked.documents = {BOB: {"userkeys": document.json()}}
        found = await self.directory.get([BOB], fresh=True)
        return BOB in found and found[BOB].digest == document.digest


@pytest.fixture
def stage(asked, store):
    return Stage(asked, store)


class TestPins:
    async def test_the_first_document_is_trusted_and_not_asked_for_again(self, stage):
        chain = Chain()
        assert await stage.hears(chain.newest)
        stage.asked.asked.clear()

        assert (await stage.directory.get([BOB]))[BOB].digest == chain.newest.digest
        stage.opens()
        assert stage.directory.known(BOB).digest == chain.newest.digest
        assert stage.asked.asked == []
        assert stage.told() == []

    async def test_what_is_known_is_named_and_an_unchanged_answer_is_enough(self, stage):
        chain = Chain()
        await stage.hears(chain.newest)
        stage.asked.documents = {BOB: {"unchanged": True}}
        assert (await stage.directory.get([BOB], fresh=True))[BOB].digest == chain.newest.digest
        assert stage.asked.asked[-1][1] == {"known": {BOB: 1}}

    async def test_the_chain_is_followed_also_with_links_missing(self, stage):
        chain = Chain()
        assert await stage.hears(chain.newest)
        assert await stage.hears(chain.goes_on())
        for _ in range(3):
            chain.goes_on(lambda content: content.with_device(chain.device(2_000)))
        assert await stage.hears(chain.newest)

    @pytest.mark.parametrize("lie", ["rollback", "fork", "next of a fork", "older key", "not signed", "nonsense"])
    async def test_what_does_not_follow_is_not_taken_and_the_user_is_not_had(self, stage, lie):
        chain = Chain()
        chain.goes_on(lambda content: content.with_encryption_key(EncryptionKey.fresh(2).announced))
        await stage.hears(chain.newest)
        fork = Chain()
        fork.identity, fork.documents = chain.identity, chain.documents[:1]
        fork.goes_on(lambda content: content.with_device(fork.device(3_000)))
        told = {
            "rollback": chain.documents[0].json(),
            "fork": fork.newest.json(),
            "next of a fork": fork.goes_on().json(),
            "older key": fork.goes_on().json(),
            "not signed": chain.newest.json() | {"signatures": [{"keyid": "uik", "sig": "A" * 86}]},
            "nonsense": {"payloadType": "x"},
        }[lie]
        stage.asked.documents = {BOB: {"userkeys": told}}

        assert await stage.directory.get([BOB], fresh=True) == {}

        assert stage.directory.known(BOB).digest == chain.newest.digest
        stage.opens()
        assert stage.directory.known(BOB).digest == chain.newest.digest
        assert stage.told() == []

    async def test_a_document_about_another_is_not_taken(self, stage):
        assert not await stage.hears(Chain(ALICE).newest)

    @pytest.mark.parametrize("told", [{}, {BOB: None}, {BOB: {}}, {BOB: {"unchanged": True}}, {BOB: 7}])
    async def test_who_is_not_told_of_is_absent(self, stage, told):
        stage.asked.documents = told
        assert await stage.directory.get([BOB]) == {}

    async def test_who_is_hidden_now_is_known_still(self, stage):
        """Behind a block, say: what was pinned stays, for old messages."""
        chain = Chain()
        await stage.hears(chain.newest)
        stage.asked.documents = {}
        assert (await stage.directory.get([BOB], fresh=True))[BOB].digest == chain.newest.digest

    async def test_nothing_is_taken_from_no_answer(self, stage):
        stage.asked.documents = Unreachable("nobody")
        with pytest.raises(Unreachable):
            await stage.directory.get([BOB])

    async def test_many_are_asked_for_in_parts(self, stage):
        await stage.directory.get([UserId(str(uuid4())) for _ in range(2 * QUERY + 1)])
        assert [len(body["known"]) for _, body in stage.asked.asked] == [QUERY, QUERY, 1]


class TestOtherIdentities:
    async def test_another_identity_is_taken_with_a_notice(self, stage):
        await stage.hears(Chain().newest)
        other = Chain()
        assert await stage.hears(other.newest)
        assert stage.told() == [IdentityChanged(BOB, was_verified=False)]
        assert not stage.directory.is_held(BOB)
        assert await stage.hears(other.newest)
        assert stage.told() == []

    async def test_of_somebody_verified_it_holds_until_it_is_verified(self, stage):
        await stage.hears(Chain().newest)
        stage.directory.verify(BOB, on=True)
        assert stage.directory.is_verified(BOB)
        other = Chain()
        assert await stage.hears(other.newest)

        assert stage.told() == [IdentityChanged(BOB, was_verified=True)]
        for _ in range(2):
            assert stage.directory.is_held(BOB)
            assert stage.directory.held() == {BOB}
            assert not stage.directory.is_verified(BOB)
            stage.opens()
        stage.directory.verify(BOB, on=True)
        assert (stage.directory.held(), stage.directory.is_verified(BOB)) == (set(), True)

    async def test_coming_back_to_the_verified_one_lifts_nothing(self, stage):
        """A server and a thief of bob's old keys would have it so: bob began again because they were stolen."""
        first = Chain()
        await stage.hears(first.newest)
        stage.directory.verify(BOB, on=True)
        await stage.hears(Chain().newest)
        await stage.hears(first.newest)
        assert stage.directory.known(BOB).identity == first.newest.identity
        assert stage.directory.is_held(BOB)
        assert not stage.directory.is_verified(BOB)

    async def test_nobody_comes_back_behind_where_they_were(self, stage):
        """By way of another identity the list from before a device was stolen would hold again."""
        first = Chain()
        stolen = first.newest
        first.goes_on(lambda content: content.with_revoked(first.devices[0].id, 2_000).with_device(first.device(2_000)))
        await stage.hears(first.newest)
        await stage.hears(Chain().newest)

        assert not await stage.hears(stolen)
        assert stage.directory.known(BOB).identity != first.newest.identity
        assert await stage.hears(first.goes_on())

    async def test_taking_it_back_lets_go(self, stage):
        await stage.hears(Chain().newest)
        stage.directory.verify(BOB, on=True)
        stage.directory.verify(BOB, on=False)
        await stage.hears(Chain().newest)
        assert not stage.directory.is_held(BOB)

    async def test_ones_own_is_never_taken_from_a_server(self, stage):
        mine, other = Chain(ALICE), Chain(ALICE)
        stage.directory.pin(ALICE, mine.newest)
        stage.asked.documents = {ALICE: {"userkeys": other.newest.json()}}
        assert await stage.directory.get([ALICE], fresh=True) == {}
        assert stage.own == [None]
        assert stage.directory.known(ALICE).digest == mine.newest.digest
        stage.asked.documents = {ALICE: {"userkeys": mine.goes_on().json()}}
        await stage.directory.get([ALICE], fresh=True)
        assert [document and document.seq for document in stage.own] == [None, 2]


class TestDevices:
    async def test_of_an_identity_that_was_given_up_sign_what_was_until_then(self, stage):
        first, other = Chain(), Chain()
        await stage.hears(first.newest)
        stage.now_s = 7_000
        await stage.hears(other.newest)
        for _ in range(2):
            assert stage.directory.device(BOB, first.devices[0].id).until == 7_000
            assert stage.directory.device(BOB, other.devices[0].id).until is None
            stage.opens()

    async def test_unknown_ones_are_asked_for_once_more(self, stage):
        chain = Chain()
        await stage.hears(chain.newest)
        added = chain.device(2_000)
        document = chain.goes_on(lambda content: content.with_device(added))
        assert stage.directory.device(BOB, added.id) is None
        stage.asked.documents = {BOB: {"userkeys": document.json()}}
        assert await stage.directory.find_device(BOB, added.id) == added
        assert await stage.directory.find_device(BOB, DeviceId(str(uuid4()))) is None

    async def test_ones_that_were_left_out_are_found_by_going_back(self, stage):
        chain, gone = pruned_chain(5)
        stage.asked.older = {doc.seq: {"userkeys": doc.json()} for doc in chain.documents}
        await stage.hears(chain.newest)

        assert stage.directory.device(BOB, gone[0].id) is None
        found = await stage.directory.find_device(BOB, gone[0].id)
        assert (found.key, found.until) == (gone[0].key, 2_000)
        # Kept, so that they are found without asking, and after a restart.
        stage.opens()
        stage.asked.asked.clear()
        assert {stage.directory.device(BOB, device.id).until for device in gone} == {2_000}
        assert stage.asked.asked == []

    @pytest.mark.parametrize("lie", ["another", "none", "of another identity", "nonsense"])
    async def test_and_never_in_a_document_that_was_not_named(self, stage, lie):
        chain, gone = pruned_chain(2)
        named = chain.newest.pruned.seq
        told = {
            "another": {"userkeys": chain.documents[0].json()},
            "of another identity": {"userkeys": pruned_chain(2)[0].documents[named - 1].json()},
            "nonsense": {"userkeys": 7},
        }
        stage.asked.older = {named: told[lie]} if lie in told else {}
        await stage.hears(chain.newest)
        assert await stage.directory.find_device(BOB, gone[-1].id) is None
        assert stage.store.keys.older(BOB) == []


def pruned_chain(times):
    """Devices come, are revoked and are left out, again and again; those that were left out."""
    chain, gone = Chain(), []
    for _ in range(times):
        added = chain.device(1_500)
        chain.goes_on(lambda content, added=added: content.with_device(added))
        chain.goes_on(lambda content, added=added: content.with_revoked(added.id, 2_000))
        chain.documents.append(chain.newest.next(prune=True).sign(chain.identity))
        gone.append(added)
    return chain, gone


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=12),
    st.lists(st.sampled_from(["tell", "verify", "unverify", "restart"]), max_size=12),
)
def test_whatever_a_server_tells_no_identity_goes_back_and_nothing_verified_is_replaced_unnoticed(tells, deeds):
    chains = [Chain() for _ in range(3)]
    for chain in chains:
        for _ in range(3):
            chain.goes_on(lambda content, chain=chain: content.with_device(chain.device(2_000)))

    async def run(stage):
        reached, compared = {}, None
        for (which, number), deed in zip(tells, [*deeds, *["tell"] * len(tells)], strict=False):
            document = chains[which].documents[number]
            before = stage.directory.known(BOB)
            if deed == "restart":
                stage.opens()
            elif deed in ("verify", "unverify") and before is not None:
                stage.directory.verify(BOB, on=deed == "verify")
                compared = before.identity if deed == "verify" else None
            taken = await stage.hears(document)
            # Taken exactly if it is not behind what was seen of this identity.
            assert taken == (document.seq >= reached.get(document.identity, 0))
            if taken:
                reached[document.identity] = document.seq
            now = stage.directory.known(BOB)
            is_other = before is not None and now.identity != before.identity
            assert [event.was_verified for event in stage.told()] == ([compared is not None] if is_other else [])
            if is_other and compared is not None:
                compared = b"held"
            assert stage.directory.is_held(BOB) == (compared == b"held")
            assert stage.directory.is_verified(BOB) == (compared not in (None, b"held"))

    store = Store(":memory:")
    try:
        asyncio.run(run(Stage(Asked(), store)))
    finally:
        store.close()


class TestVerifying:
    @pytest.fixture
    async def verifier(self, stage):
        mine = Chain(ALICE)
        stage.directory.pin(ALICE, mine.newest)
        self.bob = Chain()
        await stage.hears(self.bob.newest)
        return Verifier(stage.asked, stage.directory)

    async def test_both_see_the_same_digits(self, stage, verifier):
        number = await verifier.safety_number(BOB)
        assert len(number) == 60
        theirs = Stage(Asked(BOB), Store(":memory:"))
        theirs.directory.pin(BOB, stage.directory.known(BOB))
        theirs.directory.pin(ALICE, stage.directory.known(ALICE))
        assert await Verifier(theirs.asked, theirs.directory).safety_number(ALICE) == number
        theirs.store.close()

    async def test_what_was_compared_is_verified_and_nothing_that_came_after(self, stage, verifier):
        await verifier.safety_number(BOB)
        await stage.hears(Chain().newest)
        with pytest.raises(OtherIdentity):
            await verifier.verify(BOB, None, on=True)
        assert not stage.directory.is_verified(BOB)
        # The user compares again.
        await verifier.safety_number(BOB)
        await verifier.verify(BOB, None, on=True)
        assert stage.directory.is_verified(BOB)

    async def test_by_the_digits_from_another_run(self, stage, verifier):
        number = await verifier.safety_number(BOB)
        spaced = " ".join(number[at : at + 5] for at in range(0, 60, 5))
        later = Verifier(stage.asked, stage.directory)
        with pytest.raises(OtherIdentity):
            await later.verify(BOB, number[::-1], on=True)
        await later.verify(BOB, spaced, on=True)
        assert stage.directory.is_verified(BOB)
        await stage.hears(Chain().newest)
        with pytest.raises(OtherIdentity):
            await Verifier(stage.asked, stage.directory).verify(BOB, number, on=True)
        await later.verify(BOB, None, on=False)
        assert not stage.directory.is_held(BOB)

    async def test_by_a_code(self, stage, verifier):
        text = f"chatverify:1:{BOB}:" + Verifier(stage.asked, stage.directory).code().rpartition(":")[2]
        with pytest.raises(OtherIdentity):
            await verifier.scanned(text)  # bob's name with alice's key
        theirs = Stage(Asked(BOB), Store(":memory:"))
        theirs.directory.pin(BOB, stage.directory.known(BOB))
        assert await verifier.scanned(Verifier(theirs.asked, theirs.directory).code()) == BOB
        assert stage.directory.is_verified(BOB)
        theirs.store.close()

    @pytest.mark.parametrize("text", ["", "hello", "chatverify:2:a:b", f"chatverify:1:{BOB}:AAAA"])
    async def test_what_is_no_code(self, verifier, text):
        with pytest.raises(BadEncoding):
            await verifier.scanned(text)

    async def test_not_without_keys(self, stage):
        verifier = Verifier(stage.asked, stage.directory)
        with pytest.raises(LetterlockError):
            await verifier.safety_number(BOB)
        with pytest.raises(LetterlockError):
            await verifier.verify(BOB, None, on=True)
        with pytest.raises(LetterlockError):
            verifier.code()


class TestOnTheRunningSystem:
    async def test_alice_and_bob_compare(self, people):
        alice, bob = await person(people, "alice"), await person(people, "bob")
        room = await alice.direct_room(bob.me.user)
        assert await alice.keys.safety_number(bob.me.user) == await bob.keys.safety_number(alice.me.user)
        assert await alice.keys.scanned(bob.keys.qr_text()) == bob.me.user
        assert alice.keys.is_verified(bob.me.user)
        assert not bob.keys.is_verified(alice.me.user)
        await alice.send(room.id, b"hello")

    async def test_old_messages_of_a_device_that_is_not_listed_any_more_are_read(self, people):
        alice, bob = await person(people, "alice"), await person(people, "bob")
        laptop = await another_device(people, bob)
        room = await alice.direct_room(bob.me.user)
        await laptop.send(room.id, b"from the laptop")
        gone = laptop.me.device
        await bob.keys.revoke_device(gone, PASSWORD)
        await prunes(bob)
        assert bob.keys.others.known(bob.me.user).device(gone) is None

        tablet = await another_device(people, alice)
        await tablet.fetch_history()

        assert bodies(tablet, room.id) == [b"from the laptop"]
        assert tablet.keys.others.device(bob.me.user, gone).until is not None

    async def test_a_swapped_key_is_refused_by_whoever_has_met_bob(self, people):
        alice, bob = await person(people, "alice"), await person(people, "bob")
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        await has(bob, room.id, b"hello")
        await alice.keys.verify(bob.me.user)
        theirs = Chain(bob.me.user).newest
        Between(alice).says(
            "POST e2ee/users/query", lambda told: told | ({bob.me.user: {"userkeys": theirs.json()}} if told else {})
        )
        news = alice.events()
        await alice.keys.others.get([bob.me.user], fresh=True)

        assert await heard(news, IdentityChanged) == IdentityChanged(bob.me.user, was_verified=True)
        assert alice.keys.is_held(bob.me.user)
        with pytest.raises(Refused) as held:
            await alice.send(room.id, b"for bob only")
        assert held.value.code == "keys_held"
        assert bodies(bob, room.id) == [b"hello"]

    async def test_contacts_hear_of_every_new_key(self, people):
        alice, bob = await person(people, "alice"), await person(people, "bob")
        await alice.direct_room(bob.me.user)
        await alice.keys.safety_number(bob.me.user)
        laptop = await another_device(people, bob)
        await until(lambda: alice.keys.others.known(bob.me.user).device(laptop.me.device))
        await bob.keys.revoke_device(laptop.me.device, PASSWORD)
        await until(lambda: alice.keys.others.known(bob.me.user).encryption.version == 2)


async def prunes(client):
    """Publish a document without the revoked devices, as a full list does."""

    async def step(opened):
        return Step(opened.document.next(prune=True), next_key(opened))

    secret = await password_of(client._session, client.me.username, PASSWORD)
    await client.keys._changes.publish(secret, step)


def test_every_step_that_a_chain_makes_here_is_one_that_the_rules_have():
    """The helper above is honest: otherwise refusals would prove nothing."""
    chain, _ = pruned_chain(2)
    for old, new in pairwise(chain.documents):
        check_change(old, new)
