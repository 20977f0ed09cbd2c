from django.apps import AppConfig


class MessageLogConfig(AppConfig):
    name = "messages"
    label = "message_log"
    verbose_name = "Message log"
    default_auto_field = "django.db.models.BigAutoField"
