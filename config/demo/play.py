"""The text: who says what, in which scene. Pure, but for reading the file."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

PLAY = Path(__file__).with_name("much-ado-about-nothing.jsonl")


@dataclass(frozen=True, slots=True)
class Speech:
    """What one speaker says before the next one speaks."""

    speaker: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene, `I.1` and so on."""

    name: str
    speeches: tuple[Speech, ...]

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who speaks, in the order of the first words."""
        return tuple(dict.fromkeys(speech.speaker for speech in self.speeches))


@dataclass(frozen=True, slots=True)
class Part:
    """What is played in one room: a scene among several, or all scenes between the same two, one after the other."""

    name: str
    speakers: tuple[str, ...]
    speeches: tuple[Speech, ...]

    @property
    def is_direct(self) -> bool:
        """Whether two talk alone."""
        return len(self.speakers) == 2

    @property
    def lines(self) -> int:
        """How many messages it makes."""
        return sum(len(speech.lines) for speech in self.speeches)


def read_play(path: Path = PLAY) -> list[Scene]:
    """The scenes in order."""
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    scenes = []
    for (act, scene), speeches in groupby(rows, key=lambda row: (row["act"], row["scene"])):
        name = f"{act.removeprefix('ACT ')}.{scene.removeprefix('SCENE ').split('.')[0]}"
        scenes.append(Scene(name, tuple(_speech(row["speaker"], row["text"]) for row in speeches)))
    return scenes


def _speech(speaker: str, text: str) -> Speech:
    # What two say together, the first one sends for both.
    return Speech(speaker.partition(" & ")[0], tuple(text.split("\n")))


def cast_of(scenes: Sequence[Scene], most: int) -> list[str]:
    """The `most` speakers with the most to say."""
    counts = Counter(speech.speaker for scene in scenes for speech in scene.speeches)
    return [speaker for speaker, _ in counts.most_common(most)]


def parts_of(scenes: Sequence[Scene], cast: Collection[str]) -> list[Part]:
    """The rooms of the play, with the speeches of this cast alone; who would talk to nobody is left out."""
    parts: dict[object, Part] = {}
    for scene in scenes:
        speeches = tuple(speech for speech in scene.speeches if speech.speaker in cast)
        speakers = Scene(scene.name, speeches).speakers
        if len(speakers) < 2:
            continue
        # A pair has one direct room, so its scenes share it.
        key = frozenset(speakers) if len(speakers) == 2 else scene.name
        earlier = parts.get(key, Part("", speakers, ()))
        name = f"{earlier.name}, {scene.name}".removeprefix(", ")
        parts[key] = Part(name, earlier.speakers, earlier.speeches + speeches)
    return list(parts.values())
