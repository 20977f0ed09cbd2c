from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MessageLogConfig(AppConfig):
    name = "messages"
    label = "message_log"
    verbose_name = "Message log"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Every `migrate` also makes the months that a system that was off for long lacks; beat does it while it runs."""
        post_migrate.connect(make_partitions, sender=self)


def make_partitions(using: str, **_: Any) -> None:
    """Called by Django after migrations."""
    from django.db import connections

    from messages import partitions

    if "message_log_message" in connections[using].introspection.table_names():
        partitions.ensure(using=connections[using])
