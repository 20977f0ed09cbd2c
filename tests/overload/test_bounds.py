"""Past a stated bound sends are refused for the time being, at once and with a time to come back; afterwards all is as before."""

import asyncio
import signal
import time
from collections import Counter
from contextlib import closing
from itertools import pairwise

import httpx
import psutil
import psycopg2

from chat.sender import ANSWER_S
from delivery.frames import CloseCode
from kernel.limits import BACKLOG, BACKLOG_BYTES, BODY_BYTES, PENDING_AGE_S, WAITING_POSTS
from tests.cast import Cast, comes_true

BODY = b"x" * 200


async def is_refused(phone, room, sent):
    """Whether one more message is refused for the time being; `sent` has those that were not."""
    draft = phone.message(room, BODY)
    answer = await phone.http.post("messages", json={"messages": [draft]})
    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    if result["status"] == 200:
        sent.append(draft["id"])
        return False
    assert result["error"]["code"] == "overloaded"
    assert result["error"]["retry_after"] > 0
    return True


async def arrives_and_is_taken_again(cast, reader, phone, room, sent):
    """Everything that was taken comes in order, and sends are taken as before."""
    async with reader.socket(url=cast.url) as socket:
        await socket.messages(len(sent), patience_s=30)

        async def is_taken():
            return not await is_refused(phone, room, sent)

        await comes_true(is_taken, "sends to be taken again")
        got = [entry["id"] for entry in await socket.messages(len(sent), patience_s=30)]
    assert got == sent


async def test_pending_deliveries_are_bounded_and_it_recovers_by_itself(private_system):
    system = private_system(web=1, environment={"MOST_PENDING": "300"})
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        system.stop_part("worker-1")
        sent = []

        for _ in range(4):
            drafts = [alice.phone.message(room, BODY) for _ in range(100)]
            answer = await alice.phone.http.post("messages", json={"messages": drafts})
            sent += [result["message"]["id"] for result in answer.json()["results"] if result["status"] == 200]
        await comes_true(lambda: is_refused(alice.phone, room, sent), "the bound to be noticed")
        assert (await cast.http().get(f"{system.url}/readyz")).status_code == 503

        system.start_part("worker-1")
        await arrives_and_is_taken_again(cast, bob.phone, alice.phone, room, sent)


async def test_deliveries_that_have_waited_for_ten_minutes_are_a_bound_too(private_system):
    """However few wait: nobody delivers, and what is sent would come to nobody. Time passes in the table alone."""
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        system.stop_part("worker-1")
        sent = []
        assert not await is_refused(alice.phone, room, sent)
        with closing(psycopg2.connect(system.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE delivery_pending SET created_at = created_at - make_interval(secs => %s)", (PENDING_AGE_S,)
            )
            assert cursor.rowcount > 0
            connection.commit()

        await comes_true(lambda: is_refused(alice.phone, room, sent), "the age to be noticed")
        answer = await cast.http().get(f"{system.url}/readyz")
        assert (answer.status_code, "too many deliveries are pending" in answer.text) == (503, True)

        system.start_part("worker-1")
        await arrives_and_is_taken_again(cast, bob.phone, alice.phone, room, sent)


async def repeated(socket, drafts):
    """Send all of these again, in order, until each is accepted: the same ids are answered alike."""
    for start in range(0, len(drafts), 100):
        await socket.sends(*drafts[start : start + 100])


async def refused(socket, count):
    """So many refusals, each with its problem."""
    return [(await socket.expect("error", patience_s=30))["problem"] for _ in range(count)]


async def test_the_committers_backlog_is_bounded_and_sends_beyond_come_later_in_order(private_system):
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        async with bob.phone.socket(url=system.url) as his:
            async with alice.phone.socket(url=system.url) as mine:
                await mine.sends(alice.phone.message(room, BODY))
                drafts = [alice.phone.message(room, BODY) for _ in range(BACKLOG + 500)]
                system.freeze("postgres")
                try:
                    for start in range(0, len(drafts), 100):
                        await mine.send("send", messages=drafts[start : start + 100])
                    # What was taken waits; what was not is refused while the database still hangs.
                    problems = await refused(mine, 300)
                finally:
                    system.thaw("postgres")
                assert problems[0]["code"] == "overloaded"
                assert {problem["code"] for problem in problems} <= {"overloaded", "earlier_send_refused"}
                assert all(problem["status"] == 503 and problem["retry_after"] > 0 for problem in problems)

                # What was taken is delivered before there is room for the rest.
                await his.messages(1 + BACKLOG, patience_s=60)
            async with alice.phone.socket(url=system.url) as mine:
                await repeated(mine, drafts)
            got = [entry["id"] for entry in await his.messages(1 + len(drafts), patience_s=60)]
        assert got[1:] == [draft["id"] for draft in drafts]


async def test_posts_that_wait_for_their_commit_are_bounded(private_system):
    """Each holds a thread. Who comes beyond is told at once, by a process that has threads left for everybody else."""
    system = private_system(web=1)
    web = psutil.Process(system.parts["web-1"].pid)
    beyond = 200
    unbounded = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60, trust_env=False)
    async with Cast(system.url) as cast, unbounded as http:
        people = await cast.people("alice", "bob", "carol")
        rooms = [await one.direct_room(other) for one, other in pairwise([*people, people[0]])]

        async def post(number):
            phone, room = people[number % 3].phone, rooms[number % 3]
            headers = {"Authorization": f"Bearer {phone.access}"}
            form = phone.message(room, BODY)
            return await http.post(f"{system.url}/api/v1/messages", json=form, headers=headers)

        # The committer has its session: who waits behind a frozen database does so until its own time is over.
        assert (await post(0)).status_code == 200
        before = web.num_threads()
        system.freeze("postgres")
        try:
            posts = [asyncio.create_task(post(number)) for number in range(WAITING_POSTS + beyond)]

            async def are_refused():
                return sum(task.done() for task in posts) >= beyond

            await comes_true(are_refused, "those beyond to be refused")
            threads = web.num_threads()
            told = [task.result() for task in posts if task.done()]
        finally:
            system.thaw("postgres")
        assert {answer.status_code for answer in told} == {503}
        # On a slow machine the first have waited for as long as they may before the last have come.
        at_once = [answer for answer in told if answer.elapsed.total_seconds() < ANSWER_S]
        assert at_once
        assert {answer.json()["code"] for answer in at_once} == {"overloaded"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in told)
        assert threads - before <= WAITING_POSTS + 50

        # Those that wait have theirs when the database goes on, unless it took too long.
        statuses = Counter(answer.status_code for answer in await asyncio.gather(*posts))
        assert statuses[200] > 0
        assert statuses.keys() <= {200, 503}
        assert (await post(0)).status_code == 200


async def test_the_largest_sends_are_bounded_by_what_they_hold_in_memory(private_system):
    system = private_system(web=1)
    web = psutil.Process(system.parts["web-1"].pid)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        most = BACKLOG_BYTES // BODY_BYTES
        async with alice.phone.socket(url=system.url) as mine:
            await mine.sends(alice.phone.message(room, BODY))
            drafts = [alice.phone.message(room, b"x" * BODY_BYTES) for _ in range(most + 200)]
            before = web.memory_info().rss
            system.freeze("postgres")
            try:
                for draft in drafts:
                    await mine.send("send", messages=[draft])
                problems = await refused(mine, 100)
                grown = web.memory_info().rss - before
            finally:
                system.thaw("postgres")
        assert problems[0]["code"] == "overloaded"
        assert problems[0]["id"] in {draft["id"] for draft in drafts[most - 1 :]}
        assert grown <= 100 * 2**20, f"{grown / 2**20:.0f} MiB"
        async with bob.phone.socket(url=system.url) as his:
            await his.messages(1 + most, patience_s=60)
            async with alice.phone.socket(url=system.url) as mine:
                for draft in drafts:
                    await mine.sends(draft)
            got = [entry["id"] for entry in await his.messages(1 + len(drafts), patience_s=60)]
        assert got[1:] == [draft["id"] for draft in drafts]


async def test_a_process_that_ends_while_postgresql_hangs_says_goodbye_all_the_same(private_system):
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        async with alice.phone.socket(url=system.url) as mine:
            await mine.sends(alice.phone.message(room, BODY))
            system.freeze("postgres")
            try:
                await mine.send("send", messages=[alice.phone.message(room, BODY)])
                began = time.monotonic()
                system.kill("web-1", signal.SIGTERM)
                assert await mine.closed() == CloseCode.RESTART
                assert time.monotonic() - began < 6
            finally:
                system.thaw("postgres")
