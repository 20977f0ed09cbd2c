"""The URLs of connections (docs/protocol.md §3)."""

from django.urls import URLPattern, URLResolver, path

from connections import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("connections", views.Connections.as_view()),
    path("connections/settings", views.Settings.as_view()),
    path("connections/synced", views.Synced.as_view()),
    path("connections/<uuid:user_id>", views.OneConnection.as_view()),
]
