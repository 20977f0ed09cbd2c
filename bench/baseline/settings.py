"""Settings as the tutorial leaves them, with PostgreSQL instead of SQLite."""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

SECRET_KEY = "baseline"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels", "bench.baseline"]
ASGI_APPLICATION = "bench.baseline.asgi.application"
ROOT_URLCONF = "bench.baseline.asgi"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

_url = urlsplit(os.environ["DATABASE_URL"])
_options = dict(parse_qsl(_url.query))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path.lstrip("/"),
        "USER": unquote(_url.username or ""),
        "PASSWORD": unquote(_url.password or ""),
        "HOST": _options.get("host", unquote(_url.hostname or "")),
        "PORT": _options.get("port", str(_url.port or "")),
        # In the baseline's favour: without it each message opens a connection (a third of the throughput here).
        "CONN_MAX_AGE": 60,
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # In the baseline's favour: with the usual capacity of 100 it silently loses messages under this load.
        "CONFIG": {"hosts": [os.environ["VALKEY_URL"]], "capacity": 100_000},
    }
}
