"""The staff's site. Every app registers its own pages; here are those that look into all of them."""

from typing import Any
from uuid import UUID

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from config.trace import find_trace
from config.webclient.files import present
from kernel.admin_pages import as_uuid

# Pages beside those of the models: (app, permission, name, URL).
PAGES = (
    ("message_log", "message_log.view_message", "Follow a message", "admin:trace_any"),
    ("message_log", "message_log.view_rejection", "Rejections", "admin:message_log_rejections"),
)


class Site(AdminSite):
    """The admin under our name."""

    site_header = site_title = "Letterlock"
    index_title = "Staff"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """With a "View site" that leads to the web client; where there is none, what there is to see is the API."""
        return {**super().each_context(request), "site_url": "/" if present() else reverse("docs")}

    def get_urls(self) -> list[Any]:
        """With the page that follows one message."""
        return [
            path("trace/", self.admin_view(self.trace_view), name="trace_any"),
            path("trace/<uuid:message_id>/", self.admin_view(self.trace_view), name="trace"),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """With the pages that belong to no model's list."""
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["models"] += [
                {"name": name, "object_name": name, "admin_url": reverse(url), "view_only": True, "perms": {}}
                for label, permission, name, url in PAGES
                if label == app["app_label"] and request.user.has_perm(permission)
            ]
        return apps

    def trace_view(self, request: HttpRequest, message_id: UUID | None = None) -> HttpResponse:
        """Where one message is (config/trace.py)."""
        if not request.user.has_perm("message_log.view_message"):
            raise PermissionDenied
        term = request.GET.get("q", "").strip()
        wanted = message_id or as_uuid(term)
        found = find_trace(wanted) if wanted else None
        if message_id and found is None:
            raise Http404(f"{message_id} is not in the log")
        title = f"Message {found.id}" if found else "Follow a message"
        context = {"title": title, "trace": found, "term": term or message_id or "", "asked": bool(term)}
        return TemplateResponse(request, "admin/trace.html", {**self.each_context(request), **context})
