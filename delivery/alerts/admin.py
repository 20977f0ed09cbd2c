"""The queue of alerts for staff: who writes to whom in spite of a block, and what can be done about it.

Each action shows first what it would do, and what it did stands in the admin's log, of the alert and of the user or device.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts import devices, suspension
from accounts.models import Device, User
from delivery.models import AbuseAlert, AlertNotice
from kernel.admin_pages import CHOSEN, LargeTable, as_uuid, counted

# Of so many newest alerts, the clients are offered as a filter.
CLIENTS_OF = 1_000

WITHIN = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


class StateFilter(admin.SimpleListFilter):
    """Open alerts unless asked otherwise: the page is a queue."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(AbuseAlert.State.ACKNOWLEDGED, "Acknowledged"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        for value, label in ((None, "Open"), *self.lookup_choices):
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "all":
                return queryset
            case AbuseAlert.State.ACKNOWLEDGED:
                return queryset.filter(state=AbuseAlert.State.ACKNOWLEDGED)
            case _:
                return queryset.filter(state=AbuseAlert.State.OPEN)


class ClientFilter(admin.SimpleListFilter):
    """By name and version: one broken release shows as one line."""

    title = "client"
    parameter_name = "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = AbuseAlert.objects.order_by("-pk").values_list("client_name", "client_version")[:CLIENTS_OF]
        # No name and no version has a control character in it (accounts/devices.py).
        return [(f"{name}\t{version}", client_text(name, version)) for name, version in sorted(set(newest))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        name, _, version = str(self.value()).partition("\t")
        return queryset.filter(client_name=name, client_version=version)


class LastFilter(admin.SimpleListFilter):
    """By the newest of the messages."""

    title = "last message"
    parameter_name = "last"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"Within the {name}") for name in WITHIN]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        within = WITHIN.get(str(self.value()))
        return queryset if within is None else queryset.filter(last_at__gte=timezone.now() - within)


@admin.register(AbuseAlert)
class AbuseAlerts(LargeTable):
    """The alerts, the newest messages first."""

    list_display = ("number", "sender", "device_and_client", "recipient", "messages", "when", "versions")
    list_display_links = ("number",)
    list_filter = (StateFilter, ClientFilter, LastFilter)
    show_facets = admin.ShowFacets.NEVER
    # No offer to choose the whole table (config/templates/admin/actions.html).
    actions_selection_counter = False
    search_fields = ("id",)
    search_help_text = "An alert's number; a user's, device's or last message's id; or a user's exact name."
    actions: ClassVar = ["acknowledge", "suspend", "revoke"]
    change_form_template = "admin/delivery/alert.html"
    fieldsets = (
        (None, {"fields": ("status", "sender", "device", "client", "recipient", "messages", "first", "last")}),
        ("What the device knew", {"fields": ("blocked_in", "had_reported", "sent_at_version", "last_message")}),
        ("Looked after", {"fields": ("notes", "handled_by", "handled_at", "told")}),
    )
    readonly_fields = (
        *("status", "sender", "device", "client", "recipient", "messages", "first", "last"),
        *("blocked_in", "had_reported", "sent_at_version", "last_message", "handled_by", "handled_at", "told"),
    )

    # --- the list ------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With names and how things stand; whoever is gone has none."""
        users, of_device = User.objects.all(), Device.objects.filter(pk=OuterRef("device_id"))
        sender, recipient = users.filter(pk=OuterRef("sender_id")), users.filter(pk=OuterRef("recipient_id"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                sender_name=Subquery(sender.values("username")[:1]),
                sender_suspended=Subquery(sender.values("suspended_at")[:1]),
                recipient_name=Subquery(recipient.values("username")[:1]),
                device_name=Subquery(of_device.values("name")[:1]),
                device_revoked=Subquery(of_device.values("revoked_at")[:1]),
            )
        )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """By the index over state and time; of all states together by number, which is nearly the same."""
        return ("-pk",) if request.GET.get("state") == "all" else ("-last_at", "-pk")

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """What the filters ask."""
        return lookup in {filter.parameter_name for filter in self.list_filter}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By scanning: alerts are few, or there is no time to look at them."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isascii() and term.isdigit():
            return queryset.filter(pk=int(term[:18])), False
        found = as_uuid(term)
        if found is None:
            found = User.objects.filter(username=term.lower()).values_list("pk", flat=True).first()
        if found is None:
            return queryset.none(), False
        wanted = Q(sender_id=found) | Q(recipient_id=found) | Q(device_id=found) | Q(last_message_id=found)
        return queryset.filter(wanted), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Under its own name."""
        return super().changelist_view(request, {"title": "Abuse alerts", **(extra_context or {})})

    @admin.display(description="alert")
    def number(self, alert: Any) -> str:
        return f"#{alert.pk}" if alert.state == AbuseAlert.State.OPEN else f"#{alert.pk} done"

    @admin.display(description="who")
    def sender(self, alert: Any) -> SafeString | str:
        return link("user", alert.sender_id, alert.sender_name, "suspended" if alert.sender_suspended else "")

    @admin.display(description="device")
    def device(self, alert: Any) -> SafeString | str:
        return link("device", alert.device_id, alert.device_name, "revoked" if alert.device_revoked else "")

    @admin.display(description="device and client")
    def device_and_client(self, alert: Any) -> SafeString:
        return format_html("{}<br><small>{}</small>", self.device(alert), self.client(alert))

    @admin.display(description="to whom")
    def recipient(self, alert: Any) -> SafeString | str:
        return link("user", alert.recipient_id, alert.recipient_name, "")

    @admin.display(description="messages")
    def messages(self, alert: Any) -> str:
        return f"{alert.count:,}"

    @admin.display(description="last, and first (UTC)")
    def when(self, alert: Any) -> SafeString:
        return format_html(
            '<span style="white-space: nowrap">{}<br><small>{}</small></span>', self.last(alert), self.first(alert)
        )

    @admin.display(description="versions")
    def versions(self, alert: Any) -> str:
        return f"{alert.block_version} / {alert.reported_version}"

    # --- one alert -------------------------------------------------------------------------------------------------------

    @admin.display(description="state")
    def status(self, alert: Any) -> str:
        return str(alert.get_state_display())

    @admin.display(description="client, at the first message")
    def client(self, alert: Any) -> str:
        return client_text(alert.client_name, alert.client_version)

    @admin.display(description="first (UTC)")
    def first(self, alert: Any) -> str:
        return time_text(alert.first_at)

    @admin.display(description="last (UTC)")
    def last(self, alert: Any) -> str:
        return time_text(alert.last_at)

    @admin.display(description="version with the block")
    def blocked_in(self, alert: Any) -> int:
        return int(alert.block_version)

    @admin.display(description="reported by the device")
    def had_reported(self, alert: Any) -> int:
        return int(alert.reported_version)

    @admin.display(description="at the last message")
    def sent_at_version(self, alert: Any) -> int:
        return int(alert.accepted_version)

    @admin.display(description="last message")
    def last_message(self, alert: Any) -> SafeString:
        """The way to follow it: it is in the log, and in no mailbox of the recipient."""
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:trace", args=[alert.last_message_id]), alert.last_message_id
        )

    @admin.display(description="told")
    def told(self, alert: Any) -> SafeString | str:
        """What went out by mail and webhook, and what is the matter if it did not."""
        notices = AlertNotice.objects.filter(alert=alert).order_by("channel")
        return format_html_join("", "<div>{}</div>", ((told_text(notice),) for notice in notices)) or "-"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """With the actions as buttons."""
        buttons = [(name, text) for _, name, text in self.get_actions(request).values()]
        context = {"title": f"Abuse alert {object_id}", "subtitle": None, "alert_actions": buttons}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The notes alone: the drain counts on meanwhile, and a whole row written back would undo it."""
        obj.save(update_fields=["notes"])

    # --- actions ---------------------------------------------------------------------------------------------------------

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        """For staff who may change both alerts and users."""
        return self.has_change_permission(request) and bool(request.user.has_perm("accounts.change_user"))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """For staff who may change both alerts and devices."""
        return self.has_change_permission(request) and bool(request.user.has_perm("accounts.change_device"))

    @admin.action(description="Acknowledge", permissions=["change"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Take them from the queue; a further message opens a new alert."""
        return self._once_confirmed(request, queryset, "acknowledge", self._acknowledge)

    @admin.action(description="Suspend the user", permissions=["suspend"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """The whole account, until it is restored."""
        return self._once_confirmed(request, queryset, "suspend", self._suspend)

    @admin.action(description="Revoke the device", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """This device alone, for good."""
        return self._once_confirmed(request, queryset, "revoke", self._revoke)

    def _once_confirmed(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        name: str,
        act: Callable[[HttpRequest, Any], bool],
    ) -> HttpResponse | None:
        """Ask first; then do it to each alert, with its log entries in one transaction."""
        alerts = list(queryset[:CHOSEN])
        if "confirmed" not in request.POST:
            template = "admin/delivery/alert_action.html"
            return self.are_you_sure(request, name, alerts, template, from_page="from_page" in request.POST)
        done = acknowledged = 0
        for alert in alerts:
            with transaction.atomic():
                done += act(request, alert)
                if "acknowledge" in request.POST:
                    acknowledged += self._acknowledge(request, alert)
        self.message_user(request, done_text(name, done))
        if acknowledged:
            self.message_user(request, done_text("acknowledge", acknowledged))
        if "from_page" in request.POST and len(alerts) == 1:
            return HttpResponseRedirect(reverse("admin:delivery_abusealert_change", args=[alerts[0].pk]))
        return None

    def _acknowledge(self, request: HttpRequest, alert: Any) -> bool:
        """False when somebody else was faster."""
        is_open = AbuseAlert.objects.filter(pk=alert.pk, state=AbuseAlert.State.OPEN)
        if not is_open.update(state=AbuseAlert.State.ACKNOWLEDGED, handled_by=request.user, handled_at=Now()):
            return False
        self.log_change(request, alert, f"Acknowledged at {alert.count} messages.")
        return True

    def _suspend(self, request: HttpRequest, alert: Any) -> bool:
        """False when the user is suspended already, or gone."""
        if not suspension.suspend(alert.sender_id):
            return False
        self.log_change(request, alert, f"Suspended the user {alert.sender_name} ({alert.sender_id}).")
        self.log_change(request, User.objects.get(pk=alert.sender_id), f"Suspended, because of alert {alert.pk}.")
        return True

    def _revoke(self, request: HttpRequest, alert: Any) -> bool:
        """False when the device is revoked already, or gone."""
        device = Device.objects.filter(pk=alert.device_id, revoked_at=None).first()
        if device is None:
            return False
        devices.revoke(device.pk)
        self.log_change(request, alert, f"Revoked the device {device.name} ({device.pk}).")
        self.log_change(request, device, f"Revoked, because of alert {alert.pk}.")
        return True


_DONE = {"acknowledge": ("Acknowledged", "alert"), "suspend": ("Suspended", "user"), "revoke": ("Revoked", "device")}


def done_text(name: str, number: int) -> str:
    """What an action has done, for whoever chose it."""
    done, what = _DONE[name]
    return f"{done} {counted(number, what)}."


def client_text(name: str, version: str) -> str:
    """A client as it calls itself."""
    return f"{name} {version}".strip() or "says nothing"


def time_text(moment: datetime) -> str:
    """A time of the database, which speaks UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def link(what: str, id: UUID, name: str | None, state: str) -> SafeString | str:
    """The name of a user or device, leading to its page, and what is the matter with it."""
    if name is None:
        return f"gone: {id}"
    shown = format_html('<a href="{}">{}</a>', reverse(f"admin:accounts_{what}_change", args=[id]), name)
    return format_html("{} ({})", shown, state) if state else shown


def told_text(notice: AlertNotice) -> str:
    """One channel's line."""
    parts = []
    if notice.told_at:
        parts.append(f"told of {notice.told_count:,} messages at {time_text(notice.told_at)} UTC")
    if notice.failures and notice.retry_at:
        failed = f"failed {notice.failures} times ({notice.last_error})"
        parts.append(f"{failed}, tried again at {notice.retry_at:%H:%M:%S} UTC")
    return f"{notice.get_channel_display()}: {'; '.join(parts) or 'about to be told'}"
