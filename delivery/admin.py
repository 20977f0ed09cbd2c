"""Staff's view of delivery: what waits in which queue and for how long, and what was set aside. Never what it says."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from delivery import dead
from delivery.alerts import admin as _alerts  # noqa: F401 (Django looks for pages here)
from delivery.backlog import COUNTED, age, estimate, read_backlog
from delivery.models import Dead, Queue, Slot
from delivery.queuemap import read_map
from kernel.admin_pages import Shown, as_uuid
from messages.kinds import Kind


@admin.register(Queue)
class Queues(Shown):
    """The queue map, and the backlog: every queue with its slots and what waits in it. Changed by `manage.py queues` alone."""

    fields = ("name", "group", "reserved", "slots")
    readonly_fields = fields
    ordering = ("name",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A page of its own, since a list of rows knows nothing of what waits."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        queues = read_backlog()
        is_more = any(queue.is_more for queue in queues)
        context = {
            "title": "Queue backlog",
            "opts": self.opts,
            "queues": queues,
            "map_version": read_map().version,
            "counted": COUNTED,
            "pending": estimate() if is_more else sum(queue.pending for queue in queues),
            "is_more": is_more,
            "dead": sum(queue.dead for queue in queues),
            "oldest": age(max((queue.oldest_s for queue in queues if queue.oldest_s is not None), default=None)),
        }
        return TemplateResponse(
            request, "admin/delivery/backlog.html", {**self.admin_site.each_context(request), **context}
        )

    @admin.display(description="slots")
    def slots(self, queue: Queue) -> str:
        """The slots that are drained under this queue's lock."""
        return ", ".join(str(slot) for slot in queue.slots.order_by("slot").values_list("slot", flat=True))


@admin.register(Dead)
class DeadDeliveries(Shown):
    """Deliveries that could not be made, found by the message's, room's or sender's id, or by queue."""

    list_display = ("id", "queue", "slot", "what", "message", "created_at", "failed_at", "why")
    fields = (
        *("id", "pending_id", "queue", "slot", "what", "message", "room_id", "sender_id", "device_id", "recipients"),
        *("created_at", "failed_at", "error"),
    )
    readonly_fields = fields
    search_fields = ("id",)
    search_help_text = "A message's, room's or sender's id, or a queue's name."
    actions: ClassVar = ["retry", "delete_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what is to be delivered; with the queue that the slot belongs to now."""
        queue = Slot.objects.filter(slot=OuterRef("slot")).values("queue_id")[:1]
        return super().get_queryset(request).defer("payload").annotate(queue_name=Subquery(queue))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By scanning: this table is as short as things go well."""
        if not search_term:
            return queryset, False
        if found := as_uuid(search_term):
            return queryset.filter(Q(message_id=found) | Q(room_id=found) | Q(sender_id=found)), False
        slots = Slot.objects.filter(queue_id=search_term.strip()).values_list("slot", flat=True)
        return queryset.filter(slot__in=list(slots)), False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For staff who have the permission: the recipients then never get it."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """For staff who may change these."""
        return bool(request.user.has_perm("delivery.change_dead"))

    @admin.display(description="queue")
    def queue(self, row: Any) -> str:
        """Where it would be tried again."""
        return str(row.queue_name or "?")

    @admin.display(description="kind")
    def what(self, row: Dead) -> str:
        """What was to be delivered."""
        return str(Kind(row.kind).label)

    @admin.display(description="message")
    def message(self, row: Dead) -> SafeString | str:
        """The way to follow it."""
        if row.message_id is None:
            return "-"
        return format_html('<a href="{}">{}</a>', reverse("admin:trace", args=[row.message_id]), row.message_id)

    @admin.display(description="error")
    def why(self, row: Dead) -> str:
        """The beginning of the reason."""
        return row.error[:120]

    @admin.action(description="Try again: deliver behind what waits now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Dead]) -> None:
        """Back among the pending ones."""
        rows = list(queryset)
        for row in rows:
            self.log_change(request, row, "Tried again.")
        retried = dead.retry([row.pk for row in rows])
        self.message_user(request, f"{retried} {'delivery waits' if retried == 1 else 'deliveries wait'} again.")
