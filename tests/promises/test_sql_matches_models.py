"""The hand-written SQL, the hand-written tables and the models say the same."""

import re
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from delivery import drain
from messages.entries import MESSAGE_COLUMNS

MODULES = (
    "messages.log",
    "delivery.pending",
    "delivery.drain",
    "delivery.blocks",
    "delivery.wake",
    "chat.roster",
    "messages.unseen",
)
OURS = ("accounts", "chat", "connections", "delivery", "message_log", "webpush")

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
INSERT = re.compile(r"INSERT INTO (\w+)(?: AS \w+)? \(([^)]*)\)")


def statements():
    """Every SQL constant of the hot path, by name."""
    found = {}
    for name in MODULES:
        for constant, text in vars(import_module(name)).items():
            if constant.isupper() and isinstance(text, str) and SQL.match(text):
                for variant, filled in variants(text).items():
                    found[f"{name}.{constant}{variant}"] = filled
    return found


def variants(text):
    """A statement with its places filled as the code does it."""
    if "{skip}" in text:
        return {"": text.format(skip=""), " skipping": text.format(skip="SKIP LOCKED")}
    return {"": text}


def tables():
    """Our models by their tables."""
    return {model._meta.db_table: model for label in OURS for model in apps.get_app_config(label).get_models()}


def columns_of(table):
    """(name, type, nullable, has a default) of a table's columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, atthasdef OR attidentity <> '' FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        return {name: (type, nullable, default) for name, type, nullable, default in cursor.fetchall()}


def test_there_is_something_to_hold():
    assert len(statements()) >= 20
    assert {
        "messages.log.INSERT_MESSAGES",
        "delivery.pending.INSERT",
        "delivery.drain.TAKE",
        "delivery.drain.SET_ASIDE",
    } <= statements().keys()


@pytest.mark.parametrize("name", statements())
def test_the_database_understands_every_statement(name):
    numbers = iter(range(1, 100))
    text = re.sub("%s", lambda _: f"${next(numbers)}", statements()[name])
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE promise AS {text}")
        cursor.execute("DEALLOCATE promise")


@pytest.mark.parametrize("name", [name for name, text in statements().items() if INSERT.search(text)])
def test_every_insert_names_columns_of_the_model_and_all_that_are_needed(name):
    for table, listed in INSERT.findall(statements()[name]):
        named = {column.strip() for column in listed.split(",")}
        fields = {field.column: field for field in tables()[table]._meta.concrete_fields}
        needed = {
            column for column, (_, nullable, default) in columns_of(table).items() if not nullable and not default
        }

        assert named <= fields.keys()
        assert needed <= named
        # What is neither needed nor named is given by the database: accepted_at, created_at, an id.
        assert {column for column in fields.keys() - named if not fields[column].null} <= {
            "id", "accepted_at", "created_at", "last_seq",
        }  # fmt: skip


@pytest.mark.parametrize("table", tables())
def test_every_table_is_as_its_model_says(table):
    wanted = {
        field.column: (field.db_type(connection).replace("varchar", "character varying"), field.null)
        for field in tables()[table]._meta.concrete_fields
        if field.concrete and field.db_type(connection)
    }

    assert {name: (type, nullable) for name, (type, nullable, _) in columns_of(table).items()} == wanted


def test_the_columns_of_a_message_are_the_model_s_in_its_order():
    named = re.findall(r"m\.(\w+)", MESSAGE_COLUMNS)

    assert named == [field.column for field in apps.get_model("message_log", "message")._meta.concrete_fields]


def test_the_columns_of_a_pending_row_are_the_model_s():
    named = {column.removeprefix("p.") for column in drain.PENDING_COLUMNS.split(", ")}
    fields = {field.column for field in apps.get_model("delivery", "pending")._meta.concrete_fields}

    assert named == fields - {"created_at"}


def test_what_is_set_aside_keeps_everything():
    (listed,) = (columns for table, columns in INSERT.findall(drain.SET_ASIDE) if table == "delivery_dead")
    fields = {field.column for field in apps.get_model("delivery", "dead")._meta.concrete_fields}

    assert {column.strip() for column in listed.split(",")} == fields - {"id"}


def test_the_apps_keep_their_labels():
    """Labels are in the names of tables and migrations; `messages` belongs to django.contrib.messages."""
    found = {
        config.name: config.label
        for config in apps.get_app_configs()
        if not config.name.startswith(("django.", "rest_", "drf_"))
    }

    assert found == {
        "config": "assembly", "accounts": "accounts", "connections": "connections", "messages": "message_log",
        "delivery": "delivery", "delivery.webpush": "webpush", "chat": "chat",
    }  # fmt: skip


def test_the_partitioned_tables_are_partitioned():
    with connection.cursor() as cursor:
        cursor.execute("SELECT partrelid::regclass::text, partstrat FROM pg_partitioned_table")
        assert dict(cursor.fetchall()) == {"message_log_message": "r", "message_log_entry": "h"}
