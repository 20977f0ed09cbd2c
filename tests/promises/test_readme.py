"""What README.md and docs/ say can be done as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(language):
    """The one fenced block of README.md that is marked so."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return text


@pytest.mark.parametrize("again", ["", "again"])
def test_the_tour_by_shell_works(system, again):
    tour = block("sh tour").replace("http://127.0.0.1:8000", system.url)

    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", tour],
        capture_output=True,
        text=True,
        timeout=170,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )

    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert said.count("Hello, Bob!") == 2  # on the phone, and on the new one
    assert said.count("Are you there?") == 1
    assert re.search(r"(\d{5}\s+){11}\d{5}", said)
    assert "block" in said.splitlines()[-1]


def test_the_tour_by_python_works(system, tmp_path):
    script = tmp_path / "tour.py"
    script.write_text(block("python example"))

    for run in ("readme", "again"):
        done = subprocess.run(
            [sys.executable, str(script), system.url, str(tmp_path), run],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )

        assert done.stdout == "bob reads Hello, Bob!\n"


def test_the_korean_page_has_the_same_commands_and_figures():
    def shown(name):
        text = (ROOT / name).read_text()
        blocks = re.findall(r"^```\w*(?: \w+)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        figures = re.search(r"(?:^\|.*\n)+", text[text.index("bench/results/") :], re.MULTILINE)
        return blocks, figures and figures[0], re.findall(r"docs/images/[\w-]+\.png", text)

    assert shown("README.ko.md") == shown("README.md")


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
