"""A second system whose settings are the other ones: made when the first test asks for it, kept for the run."""

from functools import cache

from config.supervisor.system import System
from tests.services import services

OTHER = {"CONNECTION_CONSISTENCY": "restrict", "CONNECTION_DEVICE_GRACE": "5", "DISCLOSE_BLOCKS": "false"}


@cache
def restricted_system() -> System:
    """Unblocks wait there for all devices that were seen within five days, and blocks are not disclosed."""
    return services().system("restricted", web=1, workers=1, beat=False, environment=OTHER)
