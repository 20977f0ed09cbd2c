"""The log's tables. `Message` and `Entry` are partitioned, which Django cannot say, so their SQL is written out."""

from django.db import migrations, models

MESSAGE = """
CREATE TABLE message_log_message (
    id uuid PRIMARY KEY,
    room_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    device_id uuid NOT NULL,
    recipient_id uuid,
    sent_at bigint NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    alg varchar(32) NOT NULL,
    epoch integer NOT NULL,
    ciphertext bytea NOT NULL
) PARTITION BY RANGE (id);
-- Ciphertext does not compress: do not let TOAST try.
ALTER TABLE message_log_message ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
-- A net under messages/partitions.py, which makes the monthly partitions ahead of time.
CREATE TABLE message_log_message_default PARTITION OF message_log_message DEFAULT;
"""

MAILBOX = """
-- Every delivery updates its mailbox row: leave room for updates on the same page (HOT).
CREATE TABLE message_log_mailbox (
    user_id uuid PRIMARY KEY,
    last_seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
"""

ENTRY = """
CREATE TABLE message_log_entry (
    user_id uuid NOT NULL,
    seq bigint NOT NULL,
    kind smallint NOT NULL,
    message_id uuid,
    room_id uuid,
    payload text,
    PRIMARY KEY (user_id, seq),
    CONSTRAINT a_mailbox_holds_a_message_once UNIQUE (user_id, message_id)
) PARTITION BY HASH (user_id);
CREATE INDEX entry_of_room ON message_log_entry (user_id, room_id, seq);
DO $$ BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE message_log_entry_%s PARTITION OF message_log_entry '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', lpad(part::text, 2, '0'), part);
    END LOOP;
END $$;
"""

CURSOR = """
CREATE TABLE message_log_cursor (
    device_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX cursor_of_user ON message_log_cursor (user_id);
"""


def table(sql: str, name: str, operation: migrations.operations.base.Operation) -> migrations.SeparateDatabaseAndState:
    """Run the SQL, and tell Django what it made."""
    return migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL(sql, f"DROP TABLE {name}")],
        state_operations=[operation],
    )


KINDS = [(1, "Message"), (2, "Rejection"), (3, "Room"), (4, "Connection"), (5, "Epoch")]


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []

    operations = [
        table(
            MESSAGE,
            "message_log_message",
            migrations.CreateModel(
                "Message",
                [
                    ("id", models.UUIDField(primary_key=True, serialize=False)),
                    ("room_id", models.UUIDField()),
                    ("sender_id", models.UUIDField()),
                    ("device_id", models.UUIDField()),
                    ("recipient_id", models.UUIDField(null=True)),
                    ("sent_at", models.BigIntegerField()),
                    ("accepted_at", models.DateTimeField()),
                    ("alg", models.CharField(max_length=32)),
                    ("epoch", models.IntegerField()),
                    ("ciphertext", models.BinaryField()),
                ],
            ),
        ),
        table(
            MAILBOX,
            "message_log_mailbox",
            migrations.CreateModel(
                "Mailbox",
                [
                    ("user_id", models.UUIDField(primary_key=True, serialize=False)),
                    ("last_seq", models.BigIntegerField(default=0)),
                ],
                options={"verbose_name_plural": "mailboxes"},
            ),
        ),
        table(
            ENTRY,
            "message_log_entry",
            migrations.CreateModel(
                "Entry",
                [
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "user_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                        ),
                    ),
                    ("user_id", models.UUIDField()),
                    ("seq", models.BigIntegerField()),
                    ("kind", models.SmallIntegerField(choices=KINDS)),
                    ("message_id", models.UUIDField(null=True)),
                    ("room_id", models.UUIDField(null=True)),
                    ("payload", models.TextField(null=True)),
                ],
                options={
                    "indexes": [models.Index(fields=["user_id", "room_id", "seq"], name="entry_of_room")],
                    "constraints": [
                        models.UniqueConstraint(fields=["user_id", "message_id"], name="a_mailbox_holds_a_message_once")
                    ],
                },
            ),
        ),
        table(
            CURSOR,
            "message_log_cursor",
            migrations.CreateModel(
                "Cursor",
                [
                    ("device_id", models.UUIDField(primary_key=True, serialize=False)),
                    ("user_id", models.UUIDField(db_index=True)),
                    ("seq", models.BigIntegerField(default=0)),
                ],
            ),
        ),
        migrations.CreateModel(
            "ReadPosition",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "room_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_id", models.UUIDField()),
                ("room_id", models.UUIDField()),
                ("seq", models.BigIntegerField()),
                ("disclosed_seq", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            "Rejection",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "message_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_id", models.UUIDField()),
                ("message_id", models.UUIDField(db_index=True)),
                ("reason", models.CharField(max_length=16)),
                ("later_id", models.UUIDField()),
                ("rejected_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
