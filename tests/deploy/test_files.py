"""What lies in deploy/ fits the product: names that are spelled in two places are the same in both."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path, PurePath

import pytest
import yaml

from config.supervisor.system import CHECKOUT
from kernel.limits import SOCKETS_PER_ADDRESS
from tests.deploy import programs

DEPLOY = CHECKOUT / "deploy"
OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text()
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("letterlock*") if path.suffix in (".service", ".target"))
# Read by libraries, or by the images of others.
NOT_OURS = {"PYTHONUNBUFFERED", "DB_PASSWORD", "VALKEY_PASSWORD", "RABBITMQ_PASSWORD"}
ASSIGNED = re.compile(r"^(?:Environment=)?([A-Z][A-Z_]+)=", re.MULTILINE)


def known():
    """Every variable that the product reads."""
    source = "".join(path.read_text() for path in (CHECKOUT / "config").rglob("*.py"))
    return set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source)) | {"READY_FILE"}


def is_known(name):
    return name in known() | NOT_OURS or name.removesuffix("_FILE") in known()


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("path", ["deploy/compose.env", "deploy/tls/privkey.pem", ".env"])
def test_secrets_beside_the_files_go_into_no_commit_and_no_image(path):
    """Where compose.yaml tells people to put them; the image takes what `.dockerignore` leaves of the checkout."""
    ignored = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", path], cwd=CHECKOUT)
    assert ignored.returncode == 0
    patterns = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert any(
        PurePath(name).match(pattern) for name in (path, *map(str, PurePath(path).parents)) for pattern in patterns
    )
    for example in DEPLOY.rglob("*.example"):
        assert subprocess.run(["git", "check-ignore", "--no-index", "--quiet", example], cwd=CHECKOUT).returncode == 1


@pytest.mark.parametrize(
    "name",
    [
        "letterlock-migrate.service",
        "letterlock-web@.service",
        "letterlock-worker@.service",
        "letterlock-beat.service",
        "letterlock.env.example",
    ],
)
def test_units_set_variables_that_are_read(name):
    text = (DEPLOY / "systemd" / name).read_text()
    names = {
        word
        for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
        for word in re.findall(r"([A-Z_]+)=", line)
    }
    if name.endswith("example"):
        names = set(ASSIGNED.findall(text))
        assert len(names) > 8

    assert [each for each in names if not is_known(each)] == []


def test_the_composition_sets_variables_that_are_read():
    ours = [service for service in compose()["services"].values() if service.get("image", "").startswith("letterlock")]
    names = {name for service in ours for name in service.get("environment", {})}

    assert len(names) > 8
    assert [name for name in names if not is_known(name)] == []


def test_the_composition_asks_for_every_secret_and_has_none():
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    offered = dict(
        line.split("=", 1) for line in (DEPLOY / "compose.env.example").read_text().splitlines() if "=" in line
    )

    assert asked == set(offered)
    assert {name for name, value in offered.items() if value} == {"PUBLIC_URL"}


def test_what_all_machines_must_have_alike_is_asked_for():
    """Else each makes its own, and what one of them has signed the others refuse."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*the same on every machine of one system", OPERATIONS, re.MULTILINE)
    assert {"SECRET_KEY", "VAPID_SECRET"} <= set(rows)

    services = [each for each in compose()["services"].values() if each.get("environment", {}).get("DATABASE_URL")]
    example = set(ASSIGNED.findall((DEPLOY / "systemd" / "letterlock.env.example").read_text()))
    assert len(services) == 6
    for name in rows:
        assert {service["environment"][name].partition("?")[0] for service in services} == {f"${{{name}:"}
        assert f"{name}_FILE" in example


def test_commands_are_commands():
    for service in compose()["services"].values():
        match service.get("command", []):
            case ["python", "manage.py", command, *_]:
                assert (CHECKOUT / "config" / "management" / "commands" / f"{command}.py").exists()
    for path in (DEPLOY / "systemd").glob("*.service"):
        for command in re.findall(r"manage\.py (\w+)", path.read_text()):
            if command not in ("migrate", "check"):
                assert (CHECKOUT / "config" / "management" / "commands" / f"{command}.py").exists(), command


@pytest.mark.parametrize(
    ("original", "other"),
    [("nginx/hosts.conf", "nginx/hosts.compose.conf"), ("pgbouncer/pgbouncer.ini", "pgbouncer/pgbouncer.compose.ini")],
)
def test_the_compositions_files_differ_in_places_alone(original, other):
    def plain(name):
        text = (DEPLOY / name).read_text()
        text = re.sub(r"^[#;].*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"127\.0\.0\.1:800\d|web-\d:8000|host=\S+|listen_addr = \S+|auth_file = \S+", "PLACE", text)
        return re.sub(r"web-(800)?(\d)", r"HOST-\2", text)

    assert plain(original) == plain(other)


def test_the_gateway_knows_the_hosts_that_are_started():
    """By the ends of their URLs: what it does not know it answers 404, and nobody reaches the assigned host."""
    environment = (DEPLOY / "systemd" / "letterlock.env.example").read_text()
    unit = (DEPLOY / "systemd" / "letterlock-web@.service").read_text()
    (url,) = re.findall(r"^HOST_URL=(.*)$", environment, re.MULTILINE)
    (name,) = re.findall(r"HOST_NAME=(\S+)", unit)
    ports = re.findall(r"letterlock-web@(\d+)\.service", (DEPLOY / "systemd" / "letterlock.target").read_text())
    started = {url.replace("{name}", name.replace("%i", port)): port for port in ports}

    gateway = (DEPLOY / "nginx" / "hosts.conf").read_text()
    upstreams = dict(re.findall(r"upstream (web-\d+) \{\s+server 127\.0\.0\.1:(\d+);", gateway))
    named = dict(re.findall(r"^ +(web-\d+) (web-\d+);$", gateway, re.MULTILINE))

    assert "HOST_URL" not in unit
    assert len(started) == 2
    assert {f"https://chat.example.com/hosts/{host}": upstreams[named[host]] for host in named} == started


def test_the_gateway_lets_many_come_from_one_address():
    """A carrier's NAT; and it is the gateway that refuses first, which docs/operations.md says."""
    (most,) = re.findall(r"limit_conn connections (\d+);", (DEPLOY / "nginx" / "nginx.conf").read_text())

    assert 1_000 <= int(most) < SOCKETS_PER_ADDRESS
    assert f"`limit_conn connections {most}`" in OPERATIONS


def test_the_composition_starts_the_hosts_that_its_gateway_knows():
    named = re.findall(r"^ +(web-\d+) \1;$", (DEPLOY / "nginx" / "hosts.compose.conf").read_text(), re.MULTILINE)
    urls = {
        service["environment"]["HOST_URL"]
        for service in compose()["services"].values()
        if "HOST_URL" in service.get("environment", {})
    }

    assert urls == {f"${{PUBLIC_URL}}/hosts/{name}" for name in named}


def test_docker_takes_the_composition(tmp_path):
    """Only that the file is well formed: images are neither pulled nor run here."""
    variables = tmp_path / "compose.env"
    variables.write_text(
        "".join(f"{line}x\n" for line in (DEPLOY / "compose.env.example").read_text().splitlines() if "=" in line)
    )

    done = subprocess.run(
        [*programs.compose(), "-f", str(DEPLOY / "compose.yaml"), "--env-file", str(variables), "config"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "web-2" in done.stdout


def test_systemd_takes_the_units(tmp_path):
    verifier = programs.program("systemd-analyze")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text().replace("/opt/letterlock/.venv/bin/", f"{CHECKOUT}/.venv/bin/")
        instance = {
            "letterlock-web@.service": "letterlock-web@8001.service",
            "letterlock-worker@.service": "letterlock-worker@0-1.service",
        }
        (tmp_path / instance.get(name, name)).write_text(text)
    units = [str(path) for path in sorted(tmp_path.iterdir()) if path.suffix == ".service"]

    done = subprocess.run(
        [verifier, "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        env=os.environ,
    )

    ours = [line for line in done.stderr.splitlines() if "letterlock" in line]
    assert ours == []


def directives(text, name):
    """What a unit says under this name, each time."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def told(unit):
    """The variables of a unit, as systemd puts them together: the file's win over `Environment=`, and what is unset is not there."""
    text = (DEPLOY / "systemd" / unit).read_text()
    assert directives(text, "EnvironmentFile") == ["/etc/letterlock/letterlock.env"]
    own = dict(word.split("=", 1) for line in directives(text, "Environment") for word in line.split())
    file = dict(line.split("=", 1) for line in example().splitlines() if ASSIGNED.match(line))
    unset = {name for line in directives(text, "UnsetEnvironment") for name in line.split()}
    return {name: value for name, value in (own | file).items() if name not in unset}


def example():
    return (DEPLOY / "systemd" / "letterlock.env.example").read_text()


@pytest.mark.parametrize("unit", [name for name in UNITS if name.endswith(".service")])
def test_only_web_processes_go_through_the_pooler(unit):
    """Its sessions change from one transaction to the next: migrations, workers and beat cannot use them."""
    assert bool(told(unit).get("DATABASE_POOL_URL")) == unit.startswith("letterlock-web@")
    assert told(unit).get("PART_NAME") or unit == "letterlock-migrate.service"


def shell(beginning):
    """The commands of docs/operations.md in the block that begins so."""
    (block,) = [
        text
        for text in re.findall(r"^ *```bash\n(.*?)^ *```", OPERATIONS, re.MULTILINE | re.DOTALL)
        if beginning in text
    ]
    return textwrap.dedent(block)


def test_what_is_set_up_by_the_book_has_every_file_and_starts(tmp_path):
    """The commands of "Set it up", with another place for the files and for whom they are, and then the first command."""
    places = {
        "useradd ": ": useradd ", "/etc/letterlock": str(tmp_path / "etc"), "/opt/letterlock": str(CHECKOUT),
        "/var/lib/letterlock": str(tmp_path), "-g letterlock": f"-g {os.getgid()}",
    }  # fmt: skip

    def here(text):
        for theirs, ours in places.items():
            text = text.replace(theirs, ours)
        return text

    subprocess.run(["bash", "-euo", "pipefail", "-c", here(shell("vapid_secret"))], check=True)

    environment = tmp_path / "etc" / "letterlock.env"
    assert environment.read_text() == example()
    assert environment.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o750
    variables = dict(line.split("=", 1) for line in here(example()).splitlines() if ASSIGNED.match(line))
    files = {name: Path(path) for name, path in variables.items() if name.endswith("_FILE")}
    assert len(files) > 2
    for name, path in files.items():
        assert len(path.read_text().strip()) > 32, name
        assert path.stat().st_mode & 0o777 == 0o640, name
    assert len({path.read_text() for path in files.values()}) == len(files)

    plain = {name: value for name, value in os.environ.items() if not is_known(name)}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=CHECKOUT, env=plain | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_by_hand_are_told_what_the_migrations_are(tmp_path):
    """`manage` of docs/operations.md, for which systemd-run is stood in: it makes a unit of what it is given."""
    unit = (DEPLOY / "systemd" / "letterlock-migrate.service").read_text()
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    script = shell("manage()").partition("}\n")[0] + "}\nmanage createsuperuser --username 'Alice B'\n"
    assert subprocess.run(["bash", "-n", "-c", shell("manage()")]).returncode == 0

    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )

    words = done.stdout.splitlines()
    program = words.index("/opt/letterlock/.venv/bin/python")
    assert words[program + 1 :] == ["manage.py", "createsuperuser", "--username", "Alice B"]
    assert directives(unit, "ExecStart")[0].startswith(f"{words[program]} manage.py")
    options = " ".join(words[:program]).replace("-p ", "--").replace("working-directory", "WorkingDirectory")
    options = options.replace("--uid", "--User").replace("--gid", "--Group")
    given = dict(re.findall(r"--(\w+)=(\S+)", options))
    assert given == {name: directives(unit, name)[0] for name in given}
    assert given.keys() == {"User", "Group", "WorkingDirectory", "EnvironmentFile", "UnsetEnvironment"}
    # A person at a terminal, and a script that reads what is said.
    assert {"--pty", "--pipe"} <= set(words[:program])


def test_the_target_starts_every_unit():
    """What docs/operations.md has enabled is the target alone."""
    target = (DEPLOY / "systemd" / "letterlock.target").read_text()
    wanted = re.sub(r"@[^.]+", "@", " ".join(re.findall(r"^Wants=(.*)$", target, re.MULTILINE))).split()

    assert set(wanted) == {name for name in UNITS if name.endswith(".service")}


def test_the_workers_unit_finds_its_group():
    """systemd's `%%` is one percent sign, its `$$` one dollar sign."""
    (line,) = re.findall(
        r"^ExecStart=/bin/sh -c '(.*)'$", (DEPLOY / "systemd" / "letterlock-worker@.service").read_text(), re.MULTILINE
    )
    shell = line.replace("%%", "%").replace("$$", "$").replace("%i", "12-3")
    shell = shell.replace("exec /opt/letterlock/.venv/bin/python manage.py", "echo")

    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout == "worker --group 12\n"


METRIC = re.compile(r"letterlock_[a-z_]+")


def described():
    """Every metric in the tables of docs/operations.md."""
    tables = re.findall(r"^\| (`letterlock_.*?) \|", OPERATIONS, re.MULTILINE)
    return {metric for cell in tables for metric in METRIC.findall(cell)}


@pytest.mark.parametrize("name", ["letterlock.json", "alerts.yaml"])
def test_the_dashboard_and_the_alerts_ask_for_what_is_counted(name):
    """Every name in them is in the tables of docs/operations.md, which tests/metrics holds against `/metrics`."""
    counted = described()
    asked = set(METRIC.findall((DEPLOY / "grafana" / name).read_text()))

    assert len(asked) > 5
    assert {metric for metric in asked if not {metric, re.sub("_(bucket|sum|count)$", "", metric)} & counted} == set()


def test_the_dashboard_shows_all_that_is_counted():
    dashboard = (DEPLOY / "grafana" / "letterlock.json").read_text()
    shown = {re.sub("_(bucket|sum|count)$", "", metric) for metric in METRIC.findall(dashboard)}

    # When a process began is seen in what it has counted since.
    assert described() - shown == {"letterlock_process_start_time_seconds"}


def rules():
    """The rules of alerts.yaml: name → expression."""
    groups = yaml.safe_load((DEPLOY / "grafana" / "alerts.yaml").read_text())["groups"]
    return {rule["alert"].removeprefix("Letterlock"): rule["expr"] for group in groups for rule in group["rules"]}


def test_every_alarm_is_explained_and_no_other():
    section = OPERATIONS.partition("### What the alarms mean")[2]
    explained = re.findall(r"^\| ([A-Z]\w+) \|", section, re.MULTILINE)

    assert sorted(explained) == sorted(rules())
    # Without this one, a system that is down as a whole would wake nobody: what is not scraped has no value to compare.
    (job,) = re.findall(r"job_name: (\w+)", OPERATIONS)
    assert f'up{{job="{job}"}}' in rules()["IsNotSeen"]


def test_what_one_should_be_woken_for_is_an_alarm():
    table = OPERATIONS.partition("What to be woken for:")[2].partition("\n\n| if | then |")[2].partition("\n\n")[0]
    conditions = [row.partition(" | ")[0] for row in table.splitlines() if row.startswith("| `")]
    asked = [set(METRIC.findall(condition)) for condition in conditions if "letterlock_" in condition]

    assert len(asked) > 6
    assert [names for names in asked if not any(names == set(METRIC.findall(rule)) for rule in rules().values())] == []


def test_alarms_miss_a_host_or_a_process_of_those_that_are_started():
    target = (DEPLOY / "systemd" / "letterlock.target").read_text()
    here = re.findall(r"letterlock-(web|worker)@", target)
    there = [name.partition("-")[0] for name in compose()["services"] if re.fullmatch(r"(web|worker)-\d", name)]

    assert sorted(here) == sorted(there)
    # Of none at all they count 0, and not nothing.
    assert rules()["HostsAreMissing"].endswith(f" or vector(0)) < {here.count('web')}")
    assert rules()["ProcessesAreMissing"].endswith(f" or vector(0)) < {len(here)}")


def test_the_dashboard_is_whole():
    dashboard = json.loads((DEPLOY / "grafana" / "letterlock.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["targets"], panel["title"]
    covered = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(covered)) == len(covered), "panels lie upon each other"
