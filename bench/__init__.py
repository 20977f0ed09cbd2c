"""The load generator and its accounting: `python -m bench`. Knows the server by docs/protocol.md alone."""
