"""How the parts are assembled; no domain knowledge. The Celery app is loaded here so that tasks bind to it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
