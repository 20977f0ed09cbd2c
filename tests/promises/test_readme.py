"""What README.md and docs/ say can be done as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# For machines without curl: what the tour needs of it.
CURL = f"""#!{sys.executable}
import sys, urllib.error, urllib.request
args, headers, body = sys.argv[1:], {{}}, None
while args:
    word = args.pop(0)
    if word == "-H":
        name, _, value = args.pop(0).partition(": ")
        headers[name] = value
    elif word == "-d":
        body = args.pop(0).encode()
    elif word != "-s":
        url = word
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body, headers))
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode(), end="")
"""


def block(language):
    """The one fenced block of README.md that is marked so."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return text


def test_the_tour_by_shell_works(system, tmp_path):
    tour = block("sh tour").replace("http://127.0.0.1:8000", system.url)
    folder = tmp_path / "bin"
    folder.mkdir()
    if not shutil.which("curl"):
        (folder / "curl").write_text(CURL)
        (folder / "curl").chmod(0o755)
    # `python3` of the tour is any Python; here, ours.
    (folder / "python3").symlink_to(sys.executable)
    path = f"{folder}:{os.environ['PATH']}"

    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", tour], capture_output=True, text=True, timeout=60, env={"PATH": path}, check=True
    )

    said = done.stdout
    assert said.count('"accepted_at"') == 4  # sent, sent again, undelivered, at the end
    assert '"kind":"message"' in said
    assert '"ciphertext":"aGVsbG8"' in said
    assert '"acknowledged":2' in said
    assert '"delivered":true' in said
    assert '"code"' not in said


def test_the_tour_by_python_works(system, tmp_path):
    script = tmp_path / "tour.py"
    script.write_text(block("python example"))

    done = subprocess.run(
        [sys.executable, str(script), system.url, str(tmp_path), "readme"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )

    assert done.stdout == "bob reads Hello, Bob!\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_decision_is_in_the_list():
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE)

    assert len({number for number, _, _ in listed}) == len(listed)
    assert sorted(name for _, name, _ in listed) == sorted(page.name for page in folder.glob("[0-9]*.md"))
    for number, name, title in listed:
        assert (folder / name).read_text().splitlines()[0] == f"# {number} {title}"
