"""A queue may be reserved for one hot recipient. A constant default: no row is rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0003_contacts_and_blocks")]
    operations = [
        migrations.AddField("queue", "reserved", models.BooleanField(db_default=False, default=False)),
    ]
