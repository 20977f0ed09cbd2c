"""The first months' partitions. Later ones: post_migrate (messages/apps.py) and beat (messages/tasks.py)."""

from django.db import migrations

from messages import partitions


def make(apps, schema_editor):
    """Make them on the connection that migrates."""
    partitions.ensure(using=schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("message_log", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
