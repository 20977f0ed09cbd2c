"""The API as its own description has it."""
