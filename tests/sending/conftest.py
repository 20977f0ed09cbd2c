from tests.delivery.conftest import _depot, depot  # noqa: F401
