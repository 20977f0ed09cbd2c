from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_keys_and_vaults"),
    ]

    operations = [
        migrations.AddField(
            model_name="userkeyshistory",
            name="is_former",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="userkeyshistory",
            name="ambiguous_seq",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.RemoveConstraint(
            model_name="userkeyshistory",
            name="one_key_document_per_number",
        ),
        migrations.AddConstraint(
            model_name="userkeyshistory",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_former", False)),
                fields=("user", "seq"),
                name="one_key_document_per_number",
            ),
        ),
    ]
