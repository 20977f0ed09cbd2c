"""The Celery app."""

from celery import Celery

app = Celery("letterlock")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
