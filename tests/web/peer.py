"""The web client in a Node process, asked over a pipe: its cryptography (web/tests/crypto/peer.ts), or a whole device without
its pages (web/tests/device/peer.ts).
"""

import json
import subprocess
from pathlib import Path

from tests.web import needs

WEB = Path(__file__).parents[2] / "web"


class RefusedByPeer(Exception):
    """The web client refuses, with this code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Peer:
    """One Node process, until it is closed. `script` is a file below web/tests."""

    def __init__(self, script, folder):
        needs.node()
        bundler = WEB / "node_modules" / ".bin" / "rolldown"
        subprocess.run(
            [bundler, f"tests/{script}", "--platform", "node", "--format", "esm", "--dir", folder],
            cwd=WEB, check=True, capture_output=True,
        )  # fmt: skip
        self._process = subprocess.Popen(
            ["node", folder / Path(script).with_suffix(".js").name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, deed, **told):
        """Have it done. Raises RefusedByPeer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": deed, **told}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the peer has ended"
        answer = json.loads(line)
        if "refused" in answer:
            raise RefusedByPeer(answer["refused"])
        return answer.get("answer")

    def close(self):
        self._process.communicate(timeout=10)
