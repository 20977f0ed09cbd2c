"""`DATABASE_URL` and `VALKEY_URL` replace the embedded parts, and then the same system runs on them."""

from tests.services import services
from tests.up.running import Up
from tests.up.talk import talk


async def test_given_a_database_and_a_valkey_only_the_programs_are_started(database):
    shared = services().shared
    urls = {"DATABASE_URL": database(shared.database_url), "VALKEY_URL": shared.valkey_url.removesuffix("0") + "1"}
    with Up("outside", KEY_PREFIX="outside", **urls) as up:
        up.ready()

        assert set(up.family()) == {"web", "worker", "beat"}
        assert "external" in "\n".join(up.lines)
        assert len(set(await talk(up.url))) == 10
