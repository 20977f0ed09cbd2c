"""The one thing that can go wrong when something is told."""


class Untold(Exception):
    """It could not be told, or may not have been; the text says why, without secrets."""
