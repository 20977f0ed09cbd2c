"""The URLs of accounts and devices (docs/protocol.md §3)."""

from django.urls import URLPattern, URLResolver, path

from accounts import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/register", views.Register.as_view()),
    path("accounts/sign-in", views.SignIn.as_view()),
    path("accounts/refresh", views.Refresh.as_view()),
    path("accounts/sign-out", views.SignOut.as_view()),
    path("account", views.Account.as_view()),
    path("users/<str:username>", views.UserByName.as_view()),
    path("devices", views.Devices.as_view()),
    path("devices/<uuid:device_id>", views.Device.as_view()),
]
