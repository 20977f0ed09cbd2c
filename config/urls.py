"""Every URL of the product."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config import health, problems, public
from config.metrics.views import metrics
from config.webclient import page

urlpatterns: list[URLPattern | URLResolver] = [
    path("", page.index),
    path("sw.js", page.service_worker),
    path("favicon.ico", page.icon),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("connections.urls")),
    path("api/v1/", include("chat.urls")),
    path("api/v1/", include("delivery.webpush.urls")),
    path("api/v1/", include("messages.urls")),
    path("api/v1/", include("delivery.urls")),
    path("api/v1/limits", public.LimitsView.as_view()),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^api/", problems.unknown_path),
    path("admin/", admin.site.urls),
]

handler400 = "config.problems.handler400"
handler403 = "config.problems.handler403"
handler404 = "config.problems.handler404"
handler500 = "config.problems.handler500"
