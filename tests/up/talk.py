"""A short proof that a system delivers."""

from tests.cast import Cast


async def talk(url):
    """Alice writes five messages and Bob's phone gets them live; then five more while it is away."""
    async with Cast(url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        async with bob.phone.socket() as socket:
            for number in range(5):
                await alice.sends(room, b"%d" % number)
            live = await socket.messages(5)
        for number in range(5, 10):
            await alice.sends(room, b"%d" % number)
        async with bob.phone.socket() as socket:
            later = await socket.messages(5)
        return [entry["id"] for entry in live + later]
