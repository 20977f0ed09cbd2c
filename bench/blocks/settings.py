"""The product's settings with a drain that looks at no blocks. For measuring what the look costs; nothing else uses this."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "bench.blocks.unchecked.Unchecked"]
