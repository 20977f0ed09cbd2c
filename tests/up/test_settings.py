"""Settings come from the environment, refuse nonsense, and are secure when nothing is said."""

import os
import subprocess
import sys

import pytest
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from config import env
from config.supervisor.system import CHECKOUT
from tests.services import ENVIRONMENT, FOREIGN, services


def manage(*arguments, **environment):
    """Another process, with these variables and none of ours."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in (*FOREIGN, "SECRET_KEY", *ENVIRONMENT)
    }
    var = str(services().folder / "settings")
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env={**inherited, "LETTERLOCK_VAR": var, **environment},
        capture_output=True,
        text=True,
    )


def check(**environment):
    """What `manage.py check --deploy` thinks of these variables: its exit status and its words."""
    done = manage("check", "--deploy", "--fail-level", "WARNING", **environment)
    return done.returncode, done.stderr


def shown(expression, **environment):
    """A setting, as another process sees it."""
    done = manage("shell", "-v", "0", "-c", f"from django.conf import settings; print({expression})", **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_up_starts_nothing_on_urls_that_lead_nowhere():
    done = manage("up", BROKER_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "BROKER_URL must begin with amqp://" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (services().folder / "settings" / "run" / "up.lock").exists()


@pytest.mark.parametrize("public_url", ["", "https://chat.example.org", "https://intranet:8443"])
def test_the_deployment_check_is_clean(public_url):
    assert check(**({"PUBLIC_URL": public_url} if public_url else {}))[0] == 0


def test_hosts_that_may_be_on_several_machines_are_given_their_secrets():
    """Else each machine makes its own, and a browser that subscribed at one is not reached by the workers of another."""
    hosts = {"PUBLIC_URL": "https://chat.example.org", "HOST_URL": "https://chat.example.org/hosts/{name}"}
    secrets = {"SECRET_KEY": "seven geese " * 5, "VAPID_SECRET": "crossed Messina " * 4}

    status, words = check(**hosts, SECRET_KEY=secrets["SECRET_KEY"])
    assert (status, "letterlock.W057" in words, "VAPID_SECRET" in words, "SECRET_KEY" in words) == (
        1,
        True,
        True,
        False,
    )
    assert check(**hosts, **secrets)[0] == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"PUBLIC_URL": "http://chat.example.org"}, "letterlock.E001"),
        ({"PUBLIC_URL": "chat.example.org"}, "letterlock.E002"),
        ({"HOST_URL": "web-1.example.org"}, "letterlock.E050"),
        ({"HOST_URL": "http://web-1.example.org"}, "letterlock.E051"),
        ({"HOST_URL": "http://127.0.0.1:8000", "HTTPS": True}, "letterlock.E051"),
        ({"SERVICE_TOKEN": "short"}, "letterlock.E052"),
        ({"REGISTRY_URL": "etcd://127.0.0.1:2379"}, "letterlock.E053"),
        ({"ALLOWED_HOSTS": ["127.0.0.1", "chat.example.org"]}, "letterlock.E003"),
        ({"DATABASE_URL": "mysql://root@127.0.0.1/letterlock"}, "letterlock.E005"),
        ({"VALKEY_URL": "127.0.0.1:6379"}, "letterlock.E005"),
        ({"VALKEY_URL": "redis+sentinel://valkey-1:26379,valkey-2:26379/0"}, "letterlock.E005"),
        ({"BROKER_URL": "http://127.0.0.1"}, "letterlock.E005"),
        ({"BROKER_URL": ""}, "letterlock.E005"),
        ({"BROKER_URL": "unix:///run/valkey.sock"}, "letterlock.E005"),
        ({"BROKER_URL": "amqp://mq-1;redis://127.0.0.1/0"}, "letterlock.E005"),
        ({"RATE_SCALE": 1000.0}, "letterlock.W006"),
        ({"VAPID_SECRET": "short"}, "letterlock.E054"),
        ({"VAPID_SUBJECT": object()}, "letterlock.E058"),
        ({"MESSAGE_ALGS": []}, "letterlock.E040"),
        ({"MESSAGE_ALGS": ["chat.e2ee.v1", "with space"]}, "letterlock.E040"),
        ({"MESSAGE_ALGS": ["chat.e2ee.v1", "other.v1"]}, "letterlock.W041"),
    ],
)
def test_what_makes_no_sense_together_is_refused(settings, complaint):
    usual = {
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "ALLOWED_HOSTS": ["127.0.0.1", "localhost", "[::1]"],
        "RATE_SCALE": 1.0,
        "MESSAGE_ALGS": ["chat.e2ee.v1"],
        "WEB_PUSH_LOOPBACK": False,
    }

    with override_settings(**{**usual, **settings}):
        found = [message.id for message in run_checks(tags=[Tags.security, Tags.compatibility])]

    assert [name for name in found if name.startswith("letterlock")] == [complaint]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda name: env.flag(name, default=False), "yes"),
        (lambda name: env.number(name, default=1, most=10), "11"),
        (lambda name: env.number(name, default=1), "one"),
        (lambda name: env.decimal(name, default=1.0, least=0.5), "0.4"),
        (lambda name: env.decimal(name, default=1.0, least=0.5), "nan"),
        (lambda name: env.decimal(name, default=1.0, least=0.5), "much"),
    ],
)
def test_a_variable_that_is_nonsense_is_refused_by_its_name(monkeypatch, read, value):
    monkeypatch.setenv("SOME_SETTING", value)

    with pytest.raises(ImproperlyConfigured, match="SOME_SETTING must be"):
        read("SOME_SETTING")


@pytest.mark.parametrize(
    "url",
    [
        "amqp://mq-1/letterlock;amqp://mq-2/letterlock",
        "amqps://mq-1",
        "redis://127.0.0.1:6379/0",
        "rediss://valkey-1",
        "redis+socket:///run/valkey.sock",
    ],
)
def test_brokers_that_can_be_spoken_to_are_taken(url):
    with override_settings(BROKER_URL=url):
        assert [message for message in run_checks(tags=[Tags.compatibility]) if "BROKER_URL" in message.msg] == []


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not 'LOUD'"),
        ("METRICS_TOKEN_FILE", "/nope", "must be a file that can be read, not '/nope' (No such file or directory)"),
        ("HOST_CAPACITY", "abc", "must be a whole number from 0 to 2147483648, not 'abc'"),
        ("DATABASE_URL", "postgresql://alice:hun/ter2@127.0.0.1/x", "must be a URL that can be read: is its port"),
    ],
)
@pytest.mark.parametrize("command", ["check", "up"])
def test_what_cannot_be_read_is_refused_in_one_line(command, name, value, refusal):
    done = manage(command, **{name: value})

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"manage.py: {name} {refusal}")
    assert "hun" not in done.stderr


@pytest.mark.parametrize(
    ("command", "status", "program"),
    [(("queues",), 2, "CommandError"), (("hosts",), 2, "CommandError"), (("createsuperuser",), 1, "manage.py")],
)
def test_where_nothing_runs_a_command_says_so(command, status, program):
    done = manage(*command)

    assert done.returncode == status
    assert done.stderr.splitlines()[-1].startswith(f"{program}: nothing runs here: start it with `manage.py up`, or")
    assert "Traceback" not in done.stderr
    assert "port 1 " not in done.stderr


@pytest.mark.parametrize(
    ("command", "name", "url", "where"),
    [
        ("queues", "DATABASE_URL", "postgresql://alice:hunter2@127.0.0.1:9/x", '"127.0.0.1", port 9 failed'),
        ("hosts", "VALKEY_URL", "redis://:hunter2@127.0.0.1:9/0", "(redis://127.0.0.1:9/0)"),
        ("hosts", "REGISTRY_URL", "zookeeper://127.0.0.1:9/letterlock", "(zookeeper://127.0.0.1:9/letterlock)"),
    ],
)
def test_a_server_of_ones_own_that_is_away_is_named_without_its_password(command, name, url, where):
    done = manage(command, **{name: url})

    assert (done.returncode, where in done.stderr) == (2, True)
    assert "manage.py up" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_python_without_django_is_told_which_one_has_it():
    done = subprocess.run([sys.executable, "-S", "manage.py", "hosts"], cwd=CHECKOUT, capture_output=True, text=True)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert ".venv/bin/python manage.py" in done.stderr


def test_a_list_has_no_empty_items(monkeypatch):
    monkeypatch.setenv("SOME_SETTING", "a, b,,")

    assert env.words("SOME_SETTING", default="") == ["a", "b"]


def test_with_https_cookies_and_redirects_insist_on_it():
    wanted = "settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS > 0"

    assert shown(wanted, PUBLIC_URL="https://chat.example.org") == "True True True True"
    assert shown(wanted) == "False False False False"


def test_debug_is_off_and_the_key_is_made_once_and_kept():
    key = shown("settings.SECRET_KEY")

    assert shown("settings.DEBUG") == "False"
    assert len(key) >= 50
    assert shown("settings.SECRET_KEY") == key
    assert (services().folder / "settings" / "secrets" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text("k" * 60 + "\n")

    assert shown("settings.SECRET_KEY", SECRET_KEY_FILE=str(tmp_path / "key")) == "k" * 60


def test_with_nothing_running_and_nothing_said_no_server_of_the_machine_is_touched():
    ports = shown("settings.DATABASES['default']['PORT'], settings.VALKEY_URL, settings.BROKER_URL")

    assert ports == "1 redis://127.0.0.1:1/0 redis://127.0.0.1:1/0"
