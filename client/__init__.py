"""The Python client of Letterlock. Imports nothing of the server."""
