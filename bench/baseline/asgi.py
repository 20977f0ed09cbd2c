"""`daphne bench.baseline.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.baseline.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

_http = get_asgi_application()

from bench.baseline.consumers import ChatConsumer

urlpatterns: list[object] = []
application = ProtocolTypeRouter(
    {
        "http": _http,
        "websocket": URLRouter([re_path(r"ws/chat/(?P<room_name>\w+)/$", ChatConsumer.as_asgi())]),
    }
)
