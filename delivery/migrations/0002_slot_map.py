"""The first slot map: 64 slots over 8 queues, all of one worker group. Changed later by `manage.py queues`."""

from django.db import migrations

QUEUES = 8
SLOTS = 64


def fill(apps, schema_editor):
    """Make the queues and give each slot to one of them."""
    Queue = apps.get_model("delivery", "Queue")
    Slot = apps.get_model("delivery", "Slot")
    queues = Queue.objects.bulk_create([Queue(name=f"recipients.{n:02d}") for n in range(QUEUES)])
    Slot.objects.bulk_create([Slot(slot=slot, queue=queues[slot % QUEUES]) for slot in range(SLOTS)])


class Migration(migrations.Migration):
    dependencies = [("delivery", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
