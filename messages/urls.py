"""The URLs of the message service (docs/protocol.md §3)."""

from django.urls import path

from messages import views

urlpatterns = [
    path("mailbox", views.Mailbox.as_view()),
    path("mailbox/undelivered", views.Undelivered.as_view()),
    path("mailbox/ack", views.Acknowledge.as_view()),
    path("rooms/<uuid:room_id>/messages", views.RoomHistory.as_view()),
    path("rooms/<uuid:room_id>/read", views.Read.as_view()),
    path("rooms/<uuid:room_id>/receipts", views.RoomReceipts.as_view()),
    path("messages/<uuid:message_id>", views.OneMessage.as_view()),
    path("messages/<uuid:message_id>/reject", views.Reject.as_view()),
]
