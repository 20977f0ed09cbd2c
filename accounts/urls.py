"""The URLs of accounts and devices (docs/protocol.md §3)."""

from django.urls import URLPattern, URLResolver, path

from accounts import key_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/register", views.Register.as_view()),
    path("accounts/sign-in", views.SignIn.as_view()),
    path("accounts/refresh", views.Refresh.as_view()),
    path("accounts/sign-out", views.SignOut.as_view()),
    path("account", views.Account.as_view()),
    path("users/<str:username>", views.UserByName.as_view()),
    path("devices", views.Devices.as_view()),
    path("devices/<uuid:device_id>", views.Device.as_view()),
    path("accounts/kdf", key_views.Kdf.as_view()),
    path("account/password", key_views.Password.as_view()),
    path("e2ee/setup", key_views.Setup.as_view()),
    path("e2ee/reset", key_views.Reset.as_view()),
    path("e2ee/vault", key_views.Vault.as_view()),
    path("e2ee/vault/archive/<int:page>", key_views.Archive.as_view()),
    path("e2ee/box", key_views.Box.as_view()),
    path("e2ee/userkeys", key_views.UserKeys.as_view()),
    path("e2ee/users/query", key_views.Query.as_view()),
    path("e2ee/users/<uuid:user_id>/userkeys/<int:seq>", key_views.OneUserKeys.as_view()),
]
