"""Staff's view of rooms and who is in them. Members change through the API alone, where every change is told to the members."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from chat.models import Room
from kernel.admin_pages import Shown, as_uuid
from kernel.limits import MEMBERS


@admin.register(Room)
class Rooms(Shown):
    """Rooms, found by their id, or by a member's id or exact name."""

    list_display = ("id", "kind", "members_version", "epoch", "created_at")
    fields = ("id", "kind", "members_version", "epoch", "created_at", "messages", "members")
    readonly_fields = fields
    search_fields = ("id",)
    search_help_text = "A room's id, or a member's id or exact user name."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Index look-ups instead of a scan."""
        if not search_term:
            return queryset, False
        found = as_uuid(search_term)
        if found is None:
            return queryset.filter(memberships__user__username=search_term.strip().lower()), False
        if Room.objects.filter(pk=found).exists():
            return queryset.filter(pk=found), False
        return queryset.filter(memberships__user_id=found), False

    @admin.display(description="messages")
    def messages(self, room: Room) -> SafeString:
        """Where the newest messages are."""
        return format_html('<a href="{}">Newest messages</a>', _search("message_log_message", room.pk))

    @admin.display(description="members")
    def members(self, room: Room) -> SafeString:
        """Everybody in the room: a room is bounded."""
        rows = room.memberships.order_by("joined_at", "user_id")
        address = reverse("admin:accounts_user_changelist")
        lines = format_html_join(
            "",
            '<tr><td><a href="{}{}/change/">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>',
            (
                (address, user, name, user, role, f"{joined_at:%Y-%m-%d %H:%M:%S}")
                for user, name, role, joined_at in rows.values_list("user_id", "user__username", "role", "joined_at")[
                    :MEMBERS
                ]
            ),
        )
        return format_html("<table><tr><th>user</th><th>id</th><th>role</th><th>since (UTC)</th></tr>{}</table>", lines)


def _search(model: str, term: UUID) -> str:
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode({'q': term})}"
