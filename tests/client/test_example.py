"""The examples of docs/client.md, as they stand."""

import asyncio
import re
import secrets
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("title", "says"),
    [
        ("example", ["bob reads Hello, Bob!"]),
        ("example connections", ["carol's contacts: ['mallory.", "not sent: blocked by peer"]),
    ],
)
async def test_the_examples_of_the_page_run(system, tmp_path, title, says):
    (example,) = re.findall(
        rf"^```python {title}\n(.*?)^```$", (ROOT / "docs" / "client.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = tmp_path / "example.py"
    script.write_text(example)

    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), system.url, str(tmp_path), secrets.token_hex(4),
        env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    for words in says:
        assert words in output.decode()
