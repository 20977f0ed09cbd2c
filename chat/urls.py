"""The URLs of rooms and of sending (docs/protocol.md §3)."""

from django.urls import path

from chat import epoch_views, host_views, room_views, send_views

urlpatterns = [
    path("messages", send_views.Messages.as_view()),
    path("rooms", room_views.Rooms.as_view()),
    path("rooms/<uuid:room_id>", room_views.OneRoom.as_view()),
    path("rooms/<uuid:room_id>/members", room_views.Members.as_view()),
    path("rooms/<uuid:room_id>/members/<uuid:user_id>", room_views.OneMember.as_view()),
    path("rooms/<uuid:room_id>/leave", room_views.Leave.as_view()),
    path("rooms/<uuid:room_id>/owner", room_views.Owner.as_view()),
    path("rooms/<uuid:room_id>/mute", room_views.Mute.as_view()),
    path("rooms/<uuid:room_id>/e2ee", epoch_views.RoomState.as_view()),
    path("rooms/<uuid:room_id>/epochs", epoch_views.Epochs.as_view()),
    path("rooms/<uuid:room_id>/epochs/wraps", epoch_views.Wraps.as_view()),
    path("rooms/<uuid:room_id>/epochs/<int:epoch>/roster", epoch_views.Roster.as_view()),
    path("hosts/rooms/<uuid:room_id>", host_views.HostsOfRoom.as_view()),
    path("e2ee/epoch-keys", epoch_views.EpochKeys.as_view()),
]
