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
    from django.db.transaction import get_connection

    from messages import partitions

    # Not yet there when somebody migrates one other app alone.
    if partitions.TABLE in get_connection(using).introspection.table_names():
        partitions.ensure(using=get_connection(using))
