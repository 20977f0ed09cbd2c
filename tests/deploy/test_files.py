"""What lies in deploy/ fits the product: names that are spelled in two places are the same in both."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from config.supervisor.system import CHECKOUT
from kernel.limits import SOCKETS_PER_ADDRESS

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
    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    if shutil.which(command[0]) is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed: compose.yaml was read as YAML only")
    variables = tmp_path / "compose.env"
    variables.write_text(
        "".join(f"{line}x\n" for line in (DEPLOY / "compose.env.example").read_text().splitlines() if "=" in line)
    )

    done = subprocess.run(
        [*command, "-f", str(DEPLOY / "compose.yaml"), "--env-file", str(variables), "config"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "web-2" in done.stdout


def test_systemd_takes_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the units were not verified")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text().replace("/opt/letterlock/.venv/bin/", f"{CHECKOUT}/.venv/bin/")
        instance = {
            "letterlock-web@.service": "letterlock-web@8001.service",
            "letterlock-worker@.service": "letterlock-worker@0-1.service",
        }
        (tmp_path / instance.get(name, name)).write_text(text)
    units = [str(path) for path in sorted(tmp_path.iterdir()) if path.suffix == ".service"]

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        env=os.environ,
    )

    ours = [line for line in done.stderr.splitlines() if "letterlock" in line]
    assert ours == []


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
    assert rules()["HostsAreMissing"].endswith(f"< {here.count('web')}")
    assert rules()["ProcessesAreMissing"].endswith(f"< {len(here)}")


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
