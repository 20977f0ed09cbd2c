"""Staff's view of the message log: who sent what where and when, and how far it has come. Never a ciphertext.

Not in a list, a page, a search, a filter, a title or the history: the column is not even read. Everything is view-only.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import Device, User
from kernel import ports
from kernel.admin_pages import Shown, as_uuid
from messages.kinds import Kind
from messages.models import Cursor, Entry, Mailbox, Message, ReadPosition, Rejection

# What one page shows at most.
FOUND = 500
PAGE = 50
POSITIONS = 100


@admin.register(Message)
class Messages(Shown):
    """Message metadata, found by the message's id, or by a room's or a user's (their newest)."""

    list_display = ("id", "room_id", "sender_id", "device_id", "recipient_id", "accepted_at", "bytes")
    fields = (
        *("id", "room_id", "sender_id", "device_id", "recipient_id", "sent_at", "accepted_at"),
        *("alg", "epoch", "bytes", "way"),
    )
    readonly_fields = fields
    search_fields = ("id",)
    search_help_text = f"A message's id; or a room's or a user's id, for the newest {FOUND} messages there."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bodies. Their length is asked of where they lie: it does not fetch them."""
        return super().get_queryset(request).defer("ciphertext").annotate(size=Length("ciphertext"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """There is no index over rooms or senders, and none is needed: mailboxes have one."""
        if not search_term:
            return queryset, False
        found = as_uuid(search_term)
        if found is None:
            return queryset.none(), False
        return queryset.filter(pk__in=_newest(found) or [found]), False

    def get_urls(self) -> list[Any]:
        """The list of rejections, whose table's key has two columns, stands beside this one."""
        rejections = self.admin_site.admin_view(self.rejections_view)
        return [path("rejections/", rejections, name="message_log_rejections"), *super().get_urls()]

    @admin.display(description="size (bytes, sealed)")
    def bytes(self, message: Any) -> int:
        """The size of what nobody here can read."""
        return int(message.size)

    @admin.display(description="where it is")
    def way(self, message: Message) -> SafeString:
        """The page of config/staff that follows it."""
        return format_html('<a href="{}">Follow this message</a>', reverse("admin:trace", args=[message.pk]))

    def rejections_view(self, request: HttpRequest) -> HttpResponse:
        """Refused messages, newest first; `q` is a message's or a user's id, `before` where to go on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = Rejection.objects.order_by("-message_id", "-user_id")
        term = request.GET.get("q", "").strip()
        if term:
            found = as_uuid(term)
            rows = rows.filter(Q(message_id=found) | Q(user_id=found)) if found else rows.none()
        message, _, user = request.GET.get("before", "").partition(".")
        if (last := as_uuid(message)) and (by := as_uuid(user)):
            rows = rows.filter(message_id__lte=last).exclude(message_id=last, user_id__gte=by)
        page = list(rows[: PAGE + 1])
        more = ""
        if len(page) > PAGE:
            end = page[PAGE - 1]
            more = "?" + urlencode({"q": term, "before": f"{end.message_id}.{end.user_id}"})
        context = {"title": "Rejections", "rows": page[:PAGE], "more": more, "term": term, "opts": self.opts}
        return TemplateResponse(
            request, "admin/message_log/rejections.html", {**self.admin_site.each_context(request), **context}
        )


def _newest(where: UUID) -> list[UUID]:
    """The newest messages of a room, as its member of longest standing has them, or of a user's mailbox; else none."""
    members = ports.rosters.members_of([where]).get(where, ())
    entries = Entry.objects.filter(kind=Kind.MESSAGE).order_by("-seq")
    if members:
        first, _ = min(members, key=lambda member: member[1])
        entries = entries.filter(user_id=first, room_id=where)
    else:
        entries = entries.filter(user_id=where)
    return list(entries.values_list("message_id", flat=True)[:FOUND])


@admin.register(Mailbox)
class Mailboxes(Shown):
    """How far each user's mailbox has come, and each of the user's devices with it."""

    list_display = ("user_id", "username", "last_seq")
    fields = ("user_id", "username", "last_seq", "entries", "devices", "read_positions")
    readonly_fields = fields
    search_fields = ("user_id",)
    search_help_text = "A user's id or exact name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the owner's name."""
        owner = User.objects.filter(id=OuterRef("user_id")).values("username")[:1]
        return super().get_queryset(request).annotate(owner=Subquery(owner))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """One index look-up."""
        if not search_term:
            return queryset, False
        found = as_uuid(search_term)
        if found is None:
            found = User.objects.filter(username=search_term.strip().lower()).values_list("id", flat=True).first()
        return queryset.filter(pk=found), False

    def get_urls(self) -> list[Any]:
        """With a page for what lies in a mailbox."""
        entries = self.admin_site.admin_view(self.entries_view)
        return [path("<uuid:user_id>/entries/", entries, name="message_log_entries"), *super().get_urls()]

    @admin.display(description="user name")
    def username(self, mailbox: Any) -> str:
        """Whose it is."""
        return str(mailbox.owner or "?")

    @admin.display(description="what lies in it")
    def entries(self, mailbox: Mailbox) -> SafeString:
        """Where the numbers are listed."""
        return format_html('<a href="{}">Entries</a>', reverse("admin:message_log_entries", args=[mailbox.pk]))

    @admin.display(description="devices")
    def devices(self, mailbox: Mailbox) -> SafeString:
        """Each device's cursor."""
        cursors = dict(Cursor.objects.filter(user_id=mailbox.pk).values_list("device_id", "seq"))
        rows = (
            (
                reverse("admin:accounts_device_change", args=[device.pk]),
                device.name,
                device.pk,
                cursors.get(device.pk, 0),
                mailbox.last_seq - cursors.get(device.pk, 0),
                "revoked" if device.revoked_at else "",
            )
            for device in Device.objects.filter(user_id=mailbox.pk).order_by("-created_at")[:POSITIONS]
        )
        line = '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>'
        head = "<tr><th>device</th><th>id</th><th>acknowledged up to</th><th>still lacks</th><th></th></tr>"
        return format_html("<table>{}{}</table>", SafeString(head), format_html_join("", line, rows))

    @admin.display(description="read up to")
    def read_positions(self, mailbox: Mailbox) -> SafeString:
        """Each room's position, and what others may know of it."""
        found = ReadPosition.objects.filter(user_id=mailbox.pk).order_by("-room_id")[:POSITIONS]
        rows = (
            (reverse("admin:chat_room_change", args=[row.room_id]), row.room_id, row.seq, row.disclosed_seq)
            for row in found
        )
        line = '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td></tr>'
        head = "<tr><th>room</th><th>number</th><th>disclosed to senders</th></tr>"
        return format_html("<table>{}{}</table>", SafeString(head), format_html_join("", line, rows))

    def entries_view(self, request: HttpRequest, user_id: UUID) -> HttpResponse:
        """The numbers of one mailbox, newest first; what they hold is named by ids. `before` is where to go on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = Entry.objects.filter(user_id=user_id).order_by("-seq")
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            rows = rows.filter(seq__lt=int(before[:18]))
        page = list(rows.only("user_id", "seq", "kind", "message_id", "room_id")[: PAGE + 1])
        more = "?" + urlencode({"before": page[PAGE - 1].seq}) if len(page) > PAGE else ""
        context = {"title": f"Mailbox of {user_id}", "rows": page[:PAGE], "more": more, "opts": self.opts}
        return TemplateResponse(
            request, "admin/message_log/entries.html", {**self.admin_site.each_context(request), **context}
        )
