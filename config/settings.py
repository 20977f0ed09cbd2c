"""One page of settings. Every value comes from the environment or has a safe default; nonsense is refused."""

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config import databases, env, queues, running
from kernel import limits

VERSION = "0.1.0"
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("LETTERLOCK_VAR", default=str(BASE_DIR / "var"))).resolve()
# Where the embedded servers keep their data; when empty, supervisor/place.py finds a place.
DATA_DIR = env.text("LETTERLOCK_DATA", default="")
_running = running.read(VAR_DIR)

# Where people reach us. Anything but loopback needs https (checks.py); with https, cookies and redirects insist on it.
PUBLIC_URL = env.text("PUBLIC_URL", default=_running.get("public_url") or "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"

DEBUG = False
SECRET_KEY = env.text("SECRET_KEY", default="") or running.secret(VAR_DIR, "secret_key")
# Keys that were in use before: what they signed holds until it expires.
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", default="")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=f"127.0.0.1,localhost,[::1],{_public.hostname or ''}")

# Without variables these point at what `manage.py up` started; if it does not run, at a port where nothing listens.
DATABASE_URL = env.url(
    "DATABASE_URL", default=_running.get("database_url", "postgresql://letterlock@127.0.0.1:1/letterlock")
)
VALKEY_URL = env.url("VALKEY_URL", default=_running.get("valkey_url", "redis://127.0.0.1:1/0"))
BROKER_URL = env.url("BROKER_URL", default=_running.get("broker_url", VALKEY_URL))
# Messages older than this are dropped, month by month; 0 keeps them for ever.
MESSAGE_RETENTION_DAYS = env.number("MESSAGE_RETENTION_DAYS", default=0, most=36_500)
# Several systems may share one Valkey when each has a prefix of its own.
KEY_PREFIX = env.text("KEY_PREFIX", default="letterlock")
# How devices that changed the same contact or block are brought together: docs/protocol.md §5.3.
CONNECTION_CONSISTENCY = env.choice("CONNECTION_CONSISTENCY", ("confirm", "restrict"), default="confirm")
# Under `restrict`: a device that was not seen for so many days holds up no unblock.
CONNECTION_DEVICE_GRACE = env.number("CONNECTION_DEVICE_GRACE", default=30, least=1, most=3_650)
# Whether the other side's devices learn that they are blocked (docs/protocol.md §5.5).
DISCLOSE_BLOCKS = env.flag("DISCLOSE_BLOCKS", default=True)
# Where alerts of abuse go, beside the admin: mails to these addresses, and POSTs signed with the secret (delivery/alerts).
ADMINS = [("Staff", address) for address in env.words("ALERT_MAILS", default="")]
SERVER_EMAIL = env.text("ALERT_MAIL_FROM", default="letterlock@localhost")
ABUSE_WEBHOOK_URL = env.text("ABUSE_WEBHOOK_URL", default="")
ABUSE_WEBHOOK_SECRET = env.text("ABUSE_WEBHOOK_SECRET", default="")
# Web Push: who we are to push services (docs/protocol.md §3.5), alike on every machine; where they can reach us; and whether
# a push service on this very machine is one, for tests.
VAPID_SECRET = env.text("VAPID_SECRET", default="") or running.secret(VAR_DIR, "vapid")
VAPID_SUBJECT = PUBLIC_URL if HTTPS else f"mailto:{SERVER_EMAIL}"
WEB_PUSH_LOOPBACK = env.flag("WEB_PUSH_LOOPBACK", default=False)
# The secrets that nobody gave us: another machine has made others (checks.py).
MADE_HERE = [name for name in ("SECRET_KEY", "VAPID_SECRET") if not env.text(name, default="")]
# What a message's `alg` may be. The server sees only that the form of a sealed body is right: another algorithm is a promise
# of whoever names it here that its bodies are sealed too (docs/threat-model.md).
MESSAGE_ALGS = env.words("MESSAGE_ALGS", default="chat.e2ee.v1")
# The name of this process among the web processes, of all machines; `up` numbers its own, and takes this before the number.
HOST_NAME = env.text("HOST_NAME", default="web-1")
# Where devices reach this web process itself, if not by PUBLIC_URL; `{name}` stands for its name.
HOST_URL = env.text("HOST_URL", default=PUBLIC_URL).replace("{name}", HOST_NAME).rstrip("/")
# How many users it is assigned at most; 0: as many as come.
HOST_CAPACITY = env.number("HOST_CAPACITY", default=0)
# A web process that is told to end moves its users to others within this time.
DRAIN_SECONDS = env.decimal("DRAIN_SECONDS", default=1.5, least=0.0)
# Where hosts register: in Valkey (`valkey`: that of VALKEY_URL), or zookeeper://host:port,host:port/path.
REGISTRY_URL = env.text("REGISTRY_URL", default="valkey")
# What backends bring to ask where users are (docs/protocol.md §3); without one, nobody is answered.
SERVICE_TOKEN = env.text("SERVICE_TOKEN", default="")
# What this process is called in logs and metrics; the supervisor gives each its own.
PART_NAME = env.text("PART_NAME", default="") or running.command() or "letterlock"
# Where the processes of one machine put their figures together; who may read them without being on this machine.
METRICS_DIR = env.text("METRICS_DIR", default="") or str(VAR_DIR / "run" / "metrics")
METRICS_TOKEN = env.text("METRICS_TOKEN", default="")
# The web client at `/`, where it has been built (`make web`).
WEB_CLIENT = env.flag("WEB_CLIENT", default=True)
WEB_CLIENT_DIR = Path(env.text("WEB_CLIENT_DIR", default=str(BASE_DIR / "web" / "dist")))
# Where each host is reached by clients that are sent to it, if that is not PUBLIC_URL: https://web-1.example.org, ….
# Pages of ours may talk to these and to nothing else.
HOST_ORIGINS = env.words("HOST_ORIGINS", default="")
# The bounds of one web process: sockets in all, from one address and of one device; of the system: deliveries that wait
# (kernel/limits.py).
MOST_SOCKETS = env.number("MOST_SOCKETS", default=limits.SOCKETS, least=1)
MOST_SOCKETS_PER_ADDRESS = env.number("MOST_SOCKETS_PER_ADDRESS", default=limits.SOCKETS_PER_ADDRESS, least=1)
MOST_SOCKETS_PER_DEVICE = env.number("MOST_SOCKETS_PER_DEVICE", default=limits.SOCKETS_PER_DEVICE, least=1)
MOST_PENDING = env.number("MOST_PENDING", default=limits.PENDING_ROWS, least=1)
# Every rate limit is multiplied by this.
RATE_SCALE = env.decimal("RATE_SCALE", default=1.0, least=0.001)
# Set behind a proxy that puts whom it sees last in X-Forwarded-For, and overwrites X-Forwarded-Proto.
TRUST_PROXY = env.flag("TRUST_PROXY", default=HTTPS)

INSTALLED_APPS = [
    # Before the admin, some of whose templates are ours.
    "config",
    "config.staff.apps.StaffAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "connections",
    "messages",
    "delivery",
    "delivery.webpush",
    "chat",
]
AUTH_USER_MODEL = "accounts.Staff"
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# For the pages that people see (admin, API description). The API itself goes without: see asgi.ApiHandler.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.webclient.files.ClientFiles",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.pages.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# Staff passwords are kept by the first. Those of users by USER_PASSWORD_HASHER: docs/adr/0020 says when to choose which.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "accounts.hashers.DerivedPasswordHasher",
]
USER_PASSWORD_HASHER = env.text("USER_PASSWORD_HASHER", default="pbkdf2_sha256_derived")

STATIC_URL = "/static/"
# Served from the packages themselves: nothing to collect, nothing to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_ALLOW_ALL_ORIGINS = False

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

# --- security ------------------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 86_400 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if HTTPS else []
# On loopback there is nobody to listen between browser and server. That plain http goes no further is checked by
# letterlock.E001, which these four would only repeat there (docs/adr/0010).
SILENCED_SYSTEM_CHECKS = [] if HTTPS else ["security.W004", "security.W008", "security.W012", "security.W016"]

# --- database ------------------------------------------------------------------------------------------------------
# Sessions of the message path, which live long and prepare their statements (kernel/database.py), go to PostgreSQL itself. The
# short ones of requests may go through a pooler: opening each costs PostgreSQL more than most requests do (docs/operations.md).
DATABASE_POOL_URL = env.url("DATABASE_POOL_URL", default="")
DATABASE_DIRECT = databases.of(DATABASE_URL)
DATABASES = {"default": databases.of(DATABASE_POOL_URL or DATABASE_URL)}
# A pooler gives each transaction another session, so nothing may rest in one between two.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = bool(DATABASE_POOL_URL)

# --- API -----------------------------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = limits.POST_BYTES
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["config.json.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.json.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.problems.answer",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Letterlock",
    "DESCRIPTION": "Messages that arrive: accepted is never lost, doubled or reordered. The socket is in docs/protocol.md.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    # A PATCH needs its fields here as much as a POST.
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "kernel.schema.require_bodies",
        "config.openapi.refuse_unknown_fields",
    ],
    "ENUM_NAME_OVERRIDES": {
        "RoomKind": ["direct", "group"],
        "DirectRoomKind": ["direct"],
        "GroupRoomKind": ["group"],
        "MessageKind": ["message"],
        "RejectionKind": ["rejection"],
        "RoomChangeKind": ["room"],
        "ConnectionChangeKind": ["connection"],
        "HiddenKind": ["hidden"],
        "Role": ["owner", "admin", "member"],
        "GivenRole": ["admin", "member"],
        "ConnectionAction": ["add", "accept", "decline", "remove", "block", "unblock"],
        "NoteAction": ["note"],
        "Audience": ["anyone", "contacts"],
    },
}

# --- sockets -------------------------------------------------------------------------------------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "prefix": KEY_PREFIX,
            # redis-py's default of 5 s ends a reader that merely has nothing to read.
            "hosts": [
                {"address": VALKEY_URL, "socket_timeout": None, "socket_connect_timeout": 1, "socket_keepalive": True}
            ],
        },
    }
}

# --- Celery: wake-ups only, so nothing here guards against loss; it keeps workers quick and out of trouble ---------
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_QUEUES = queues.declare(BROKER_URL)
CELERY_TASK_DEFAULT_QUEUE = queues.MAINTENANCE
# A typo must fail, not make a queue that nobody reads.
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
# A publisher that waits would stop accepting; the sweeper delivers what a lost wake-up missed.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Quorum queues refuse a prefetch for the whole channel: Celery sees by their arguments that each consumer gets its own.
CELERY_WORKER_DETECT_QUORUM_QUEUES = True
CELERY_WORKER_CONSUMER = "config.consumer:PlainConsumer"
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_HEARTBEAT = 10
CELERY_BROKER_POOL_LIMIT = 2
# RabbitMQ may take and lose what is not (delivery/publisher.py).
WAKE_UPS_ARE_CONFIRMED = queues.is_amqp(BROKER_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = queues.transport_options(BROKER_URL, KEY_PREFIX)
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "run" / "beat")
CELERY_BEAT_SCHEDULE = {
    "make-partitions": {"task": "messages.make_partitions", "schedule": 6 * 3600.0},
    "drop-old-partitions": {"task": "messages.drop_old_partitions", "schedule": 24 * 3600.0},
    # Whoever comes too late for its minute is dropped: the next one does as much.
    "tell-alerts": {"task": "delivery.tell_alerts", "schedule": 60.0, "options": {"expires": 60}},
    "ring-missed": {"task": "delivery.ring_missed", "schedule": 60.0, "options": {"expires": 60}},
    "forget-sessions": {"task": "config.forget_sessions", "schedule": 24 * 3600.0},
}

# --- mail: alerts only; without a URL none is sent -------------------------------------------------------------------
EMAIL_URL = env.url("EMAIL_URL", default="")
_mail = urlsplit(EMAIL_URL)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_URL else 'dummy'}.EmailBackend"
EMAIL_HOST = _mail.hostname or ""
EMAIL_USE_SSL = _mail.scheme == "smtps"
EMAIL_USE_TLS = _mail.scheme == "smtp+tls"
EMAIL_PORT = _mail.port or {"smtps": 465, "smtp+tls": 587}.get(_mail.scheme, 25)
EMAIL_HOST_USER = unquote(_mail.username or "")
EMAIL_HOST_PASSWORD = unquote(_mail.password or "")
EMAIL_TIMEOUT = 10

# --- logs: to stderr; the supervisor keeps them ----------------------------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), default="WARNING")
LOG_FORMAT = env.choice("LOG_FORMAT", ("plain", "json"), default="plain")
# Python's warnings too become lines of their own kind.
logging.captureWarnings(LOG_FORMAT == "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "config.logs.JsonLines", "process": PART_NAME},
    },
    "filters": {"one_line": {"()": "config.logs.OneLine"}, "hung_up": {"()": "config.logs.HungUp"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["one_line", "hung_up"]}
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # A request that is refused is the client's affair; only what breaks here is ours.
    # What kazoo tries again and again, delivery/registry says once. What httpx and httpcore tell are addresses: of push services and of
    # the webhook for abuse, which may hold a secret.
    "loggers": {
        "django": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "kazoo": {"level": "ERROR"},
        "httpcore": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
