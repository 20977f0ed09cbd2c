"""CPU accounting: no second is lost when a process ends, none is counted twice."""

import os
import subprocess
import sys

from bench import meter, systems

BURN = "import time\nuntil = time.process_time() + {0}\nwhile time.process_time() < until: pass"


def test_children_that_have_exited_are_still_counted():
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN.format(0.4)!r}]); print(flush=True); sys.stdin.read()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    groups = {"web": [parent.pid]}
    before = meter.sample(groups)

    parent.stdout.readline()  # the child has been reaped
    spent = meter.between(before, meter.sample(groups))

    parent.communicate(b"")
    assert 0.35 <= spent.groups["web"] <= 1.5
    assert 0 <= spent.idle <= 1


def test_a_process_belongs_to_the_group_of_its_command_line_or_its_parent():
    inner = "import time; print(flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}, 'manage.py', 'web'])"
    top = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, start_new_session=True)
    try:
        top.stdout.readline()

        groups = meter.tree({top.pid: "supervisor"}, systems.group_of)

        assert groups["supervisor"] == [top.pid]
        assert len(groups["web"]) == 1
    finally:
        os.killpg(top.pid, 9)
        top.communicate()


def test_the_parts_of_a_system_are_told_apart():
    told = {
        "/x/bin/postgres -D /y": "postgres",
        "postgres: alice letterlock 127.0.0.1(1) idle": "postgres",
        "/x/valkey-server 127.0.0.1:7000": "valkey",
        "python manage.py worker --index 0": "workers",
        "python manage.py web --port 8000": "web",
        "python -m celery -A config beat": "beat",
        "python manage.py up": None,
    }
    assert {command: systems.group_of(command) for command in told} == told


def test_memory_of_a_process_is_seen():
    assert meter.memory([os.getpid()])["rss"] > 5_000_000


def test_the_process_behind_a_port_is_found():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        assert meter.listener(server.getsockname()[1]) == os.getpid()
