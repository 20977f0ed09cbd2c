"""Staff's view of users and devices. Staff sign in with accounts of their own (`Staff`); messaging accounts never do."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import devices, suspension
from accounts.models import Device, SignInAttempt, Staff, User
from kernel.admin_pages import CHOSEN, LargeTable, counted

admin.site.register(Staff, UserAdmin)


def as_uuid(term: str) -> UUID | None:
    """The id that somebody typed into a search box, if it is one."""
    try:
        return UUID(term.strip())
    except ValueError:
        return None


class ReadOnly(LargeTable):
    """Shown, never edited: changes go through actions."""

    # No offer to choose the whole table (config/templates/admin/actions.html).
    actions_selection_counter = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them."""
        return self.fields or ()


@admin.register(User)
class Users(ReadOnly):
    """Messaging accounts, found by exact name or id."""

    list_display = ("username", "id", "created_at", "suspended_at")
    fields = ("id", "username", "created_at", "suspended_at", "read_receipts", "devices")
    search_fields = ("username",)
    search_help_text = "The exact user name, or the id."
    actions: ClassVar = ["suspend", "restore"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """One index look-up instead of a scan."""
        if not search_term:
            return queryset, False
        found = as_uuid(search_term)
        return queryset.filter(pk=found) if found else queryset.filter(username=search_term.strip().lower()), False

    @admin.display(description="devices")
    def devices(self, user: User) -> SafeString:
        """Where the devices are."""
        address = f"{reverse('admin:accounts_device_changelist')}?{urlencode({'q': user.pk})}"
        return format_html('<a href="{}">Devices</a>', address)

    @admin.action(description="Suspend: no sign-in, no sending, sockets close", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """What the users have received stays theirs, and so do their devices."""
        if "confirmed" not in request.POST:
            return self.are_you_sure(request, "suspend", queryset[:CHOSEN])
        self._change(request, queryset, suspension.suspend, "Suspended")
        return None

    @admin.action(description="Restore: lift a suspension", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """They go on with the devices they had."""
        self._change(request, queryset, suspension.restore, "Restored")

    def _change(self, request: HttpRequest, queryset: QuerySet[User], act: Callable[[UUID], bool], done: str) -> None:
        changed = 0
        for user in queryset[:CHOSEN]:
            with transaction.atomic():
                if act(user.pk):
                    self.log_change(request, user, f"{done}.")
                    changed += 1
        self.message_user(request, f"{done} {counted(changed, 'user')}.")


@admin.register(Device)
class Devices(ReadOnly):
    """Devices, found by their own or their user's id, or by the user's exact name."""

    list_display = ("name", "user", "client_name", "client_version", "created_at", "last_seen_at", "revoked_at")
    list_select_related = ("user",)
    fields = ("id", "user", "name", "client_name", "client_version", "created_at", "last_seen_at", "revoked_at")
    search_fields = ("user__username",)
    search_help_text = "A device's id, or its user's id or exact name."
    actions: ClassVar = ["revoke"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Index look-ups instead of a scan."""
        if not search_term:
            return queryset, False
        found = as_uuid(search_term)
        if found:
            return queryset.filter(Q(pk=found) | Q(user_id=found)), False
        return queryset.filter(user__username=search_term.strip().lower()), False

    @admin.action(description="Revoke: signed out for good", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse | None:
        """Refused at once here, within two seconds everywhere; sockets close."""
        if "confirmed" not in request.POST:
            return self.are_you_sure(request, "revoke", queryset[:CHOSEN])
        live = list(queryset.filter(revoked_at=None)[:CHOSEN])
        for device in live:
            devices.revoke(device.pk)
            self.log_change(request, device, "Revoked.")
        self.message_user(request, f"Revoked {counted(len(live), 'device')}.")
        return None


@admin.register(SignInAttempt)
class SignInAttempts(LargeTable):
    """Who is locked out of signing in; deleting a row lifts it."""

    list_display = ("subject", "failures", "window_started_at")
    ordering = ("-window_started_at",)
    readonly_fields = ("subject", "failures", "window_started_at")
    search_fields = ("subject",)
    search_help_text = "user:<name> or address:<address>, exactly."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """One index look-up."""
        return (queryset.filter(pk=search_term.strip()) if search_term else queryset), False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For staff who have the permission, as usual."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
