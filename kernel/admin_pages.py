"""The admin's lists over large tables: no page counts a table, none sorts or filters one, none reads further than a hundred pages."""

from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connection
from django.template.response import TemplateResponse

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _Paginator, _ModelAdmin = Paginator, admin.ModelAdmin

# Up to here rows are counted; above, PostgreSQL's own estimate will do.
COUNTED: Final = 10_000
PAGES: Final = 100
# What one action takes.
CHOSEN: Final = 100

# The statistics of the table, or of its partitions: the parent's are as old as the last ANALYZE by hand.
_ESTIMATE: Final = """
    SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
    WHERE relkind = 'r' AND (oid = %(table)s::regclass
        OR oid IN (SELECT relid FROM pg_partition_tree(%(table)s::regclass) WHERE isleaf))
"""


class EstimatedPaginator(_Paginator):
    """Pages of a queryset whose count is exact when it is small, and else an estimate."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, about."""
        rows: Any = self.object_list
        counted = rows.order_by()[: COUNTED + 1].count()
        if counted <= COUNTED or rows.query.where:
            return int(counted)
        with connection.cursor() as cursor:
            cursor.execute(_ESTIMATE, {"table": f'"{rows.model._meta.db_table}"'})
            (estimate,) = cursor.fetchone() or (0,)
        return max(counted, int(estimate))

    @cached_property
    def num_pages(self) -> int:
        """At most `PAGES`: an OFFSET further on would read all that lies before. Search instead."""
        return min(PAGES, max(1, ceil(self.count / self.per_page)))


class _Ordered(ChangeList):
    """A list in its own order whatever the address says: `?o=` by a column without an index would sort the table."""

    def get_ordering(self, request: Any, queryset: Any) -> list[Any]:
        """What the admin declares."""
        return list(self.model_admin.get_ordering(request))


def as_uuid(term: str) -> UUID | None:
    """The id that somebody typed into a search box, if it is one."""
    try:
        return UUID(term.strip())
    except ValueError:
        return None


def counted(number: int, what: str) -> str:
    """Such as "1 user", "2 users"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


class LargeTable(_ModelAdmin):
    """The base of admins over tables that grow: newest first, estimated counts, nothing added or deleted by hand."""

    paginator = EstimatedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    sortable_by = ()
    ordering = ("-pk",)

    def get_changelist(self, request: Any, **kwargs: Any) -> type[ChangeList]:
        """A list that cannot be sorted otherwise."""
        return _Ordered

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """None: `?ciphertext__startswith=` would search the table, and tell of what is not shown."""
        return False

    def has_add_permission(self, request: Any) -> bool:
        """Rows come from the product, not from here."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Deleting would follow every foreign key by hand."""
        return False

    def are_you_sure(
        self, request: Any, name: str, chosen: Any, template: str = "admin/are_you_sure.html", **context: Any
    ) -> TemplateResponse:
        """The page that asks before the action of this name is done; what it posts has `confirmed`."""
        context |= {"title": "Are you sure?", "opts": self.opts, "name": name, "chosen": chosen}
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})


class Shown(LargeTable):
    """Shown and never edited: what is in these tables is the product's to write."""

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """To nobody; the right to view is given as usual."""
        return False
