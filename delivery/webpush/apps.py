from django.apps import AppConfig


class WebPushConfig(AppConfig):
    name = "delivery.webpush"
    label = "webpush"
    verbose_name = "Web Push"
    default_auto_field = "django.db.models.BigAutoField"
