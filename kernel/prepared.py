"""Statements that are planned once a session: a cursor that turns `execute(sql, values)` into PREPARE and EXECUTE.

psycopg2 sends values inside the statement's text, so PostgreSQL would parse and plan it anew each time, which is about
half of what a small batch costs it (docs/adr/0030). Only statements with values are prepared; each template must be a
constant, because every template stays prepared for as long as the session lives.
"""

from collections.abc import Sequence
from typing import Any

import psycopg2.extensions

PLANNABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class PreparedConnection(psycopg2.extensions.connection):
    """A connection that remembers what it has prepared: template → the same with EXECUTE."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.templates: dict[str, str] = {}
        self.names: dict[str, str] = {}


class PreparedCursor(psycopg2.extensions.cursor):
    """See the module. Templates of several statements are split at their semicolons, and may hold none elsewhere."""

    connection: PreparedConnection

    def mogrify(self, query: Any, vars: Sequence[Any] | None = None) -> bytes:  # type: ignore[override]
        """The statement's text with its values, as EXECUTE; prepares it first if it is new to this session."""
        if vars is None:
            return super().mogrify(query)
        template = self.connection.templates.get(query)
        if template is None:
            template = ";".join(self._prepared(part.strip()) for part in query.split(";"))
            self.connection.templates[query] = template
        return super().mogrify(template, vars)

    def execute(self, query: Any, vars: Sequence[Any] | None = None) -> None:  # type: ignore[override]
        """Run it."""
        super().execute(query if vars is None else self.mogrify(query, vars))

    def _prepared(self, statement: str) -> str:
        count = statement.count("%s")
        if not count or not statement.startswith(PLANNABLE):
            return statement
        name = self.connection.names.get(statement)
        if name is None:
            name = f"hot_{len(self.connection.names)}"
            first, *rest = statement.split("%s")
            numbered = first + "".join(f"${place}{text}" for place, text in enumerate(rest, 1))
            super().execute(f"PREPARE {name} AS {numbered}")
            self.connection.names[statement] = name
        return f"EXECUTE {name}({','.join(['%s'] * count)})"
