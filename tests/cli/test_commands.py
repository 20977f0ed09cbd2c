"""What is typed after a slash is read, completed and explained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cli import commands
from client.cli.commands import COMMANDS, Mistyped, Spoken, completions, hint, read
from client.cli.tui.obey import DEEDS, help_text

WORDS = {"user": ["alice", "albert", "bob"], "member": ["bob"], "role": ["admin", "member"], "blocked": ["mallory"]}


def test_text_is_text():
    assert read("hello", "direct") == "hello"
    assert read("1/2", "direct") == "1/2"
    assert read("//etc", "direct") == "/etc"


def test_a_command_has_its_arguments():
    spoken = read("/role  @bob admin", "group")
    assert isinstance(spoken, Spoken)
    assert (spoken.command.name, spoken.arguments) == ("role", ("bob", "admin"))


def test_a_beginning_is_enough_if_it_is_the_only_one():
    assert isinstance(read("/verif bob", "direct"), Spoken)
    assert "more than one: /remove, /role, /request, /recovery" in read("/r bob", "group").advice


@pytest.mark.parametrize(
    ("line", "where", "advice"),
    [
        ("/nonsense", "direct", "/nonsense is no command: /help lists them"),
        ("/", "direct", "/ is no command: /help lists them"),
        ("/chat", "direct", "/chat USER: open the conversation"),
        ("/leave", "direct", "/leave is for groups"),
        ("/role bob", "group", "/role USER admin|member:"),
        ("/members", "anywhere", "open one first"),
    ],
)
def test_what_is_wrong_is_said(line, where, advice):
    wrong = read(line, where)
    assert isinstance(wrong, Mistyped)
    assert advice in wrong.advice


def test_tab_completes_names_and_arguments():
    assert completions("/bl", WORDS, "direct") == ["/block "]
    assert completions("/block al", WORDS, "direct") == ["/block alice", "/block albert"]
    assert completions("/block @Al", WORDS, "direct") == ["/block alice", "/block albert"]
    assert completions("/group alice al", WORDS, "anywhere") == ["/group alice albert"]
    assert completions("/role bob ", WORDS, "group") == ["/role bob admin", "/role bob member"]
    assert completions("/role bob admin ", WORDS, "group") == []
    assert completions("/leave", WORDS, "direct") == []
    assert completions("hello", WORDS, "direct") == []


def test_a_hint_explains_what_is_being_typed():
    assert hint("/verify", "direct").startswith("/verify [USER]: the safety number")
    assert "/block" in hint("/b", "direct")
    assert "no such command" in hint("/zz", "direct")
    assert hint("hello", "direct") == hint("//", "direct") == ""


def test_every_command_is_carried_out_and_explained():
    assert set(DEEDS) == {command.name for command in COMMANDS}
    assert all(f"/{command.name}" in help_text() and command.help in help_text() for command in COMMANDS)


@given(st.text(max_size=40), st.sampled_from(["anywhere", "direct", "group"]))
def test_no_line_is_too_odd(line, where):
    read(f"/{line}", where)
    hint(f"/{line}", where)
    assert all(found.startswith(f"/{line}"[: len(found)][:1]) for found in completions(f"/{line}", WORDS, where))
    assert commands.read("//" + line, where) == "/" + line
