"""The example of docs/client.md, as it stands."""

import asyncio
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_the_example_of_the_page_runs(system, tmp_path):
    (example,) = re.findall(
        r"^```python example\n(.*?)^```$", (ROOT / "docs" / "client.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script = tmp_path / "example.py"
    script.write_text(example)

    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), system.url, str(tmp_path), secrets.token_hex(4),
        env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    assert "bob reads Hello, Bob!" in output.decode()
