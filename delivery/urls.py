"""The URLs of the host assigner (docs/protocol.md §3)."""

from django.urls import path

from delivery import views

urlpatterns = [
    path("hosts/assignment", views.Assignment.as_view()),
    path("hosts/users/<uuid:user_id>", views.HostOfUser.as_view()),
]
