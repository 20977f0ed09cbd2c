"""The load generator. Runs as a process of its own (`python -m bench.generator`), so that its cost is told apart."""
