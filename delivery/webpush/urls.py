"""The URLs of push (docs/protocol.md §3)."""

from django.urls import path

from delivery.webpush import views

urlpatterns = [
    path("push/key", views.Key.as_view()),
    path("push/subscription", views.Subscription.as_view()),
]
