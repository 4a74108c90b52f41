"""What the milestones' report shows of mistakes: colours where there are some, characters elsewhere."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from tinytorch.milestone.pictures import worst_mistakes
from tinytorch.milestone.report import Report

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (9, 3, 32, 32), np.uint8)
GREYS = RNG.integers(0, 17, (9, 1, 8, 8), np.uint8)
NAMES = ("automobile", "airplane")
SURE = np.linspace(0.9, 0.82, 9)
TERMINAL = {"force_terminal": True, "color_system": "truecolor", "_environ": {}}


def shown(images, probabilities=None, *, width=120, **console) -> list[str]:
    """The lines that a report prints of nine mistakes."""
    if probabilities is None:
        probabilities = np.stack([1 - SURE, SURE], 1)
    screen = io.StringIO()
    report = Report(
        None, SimpleNamespace(json=False), Console(file=screen, width=width, highlight=False, **console)
    )
    data = SimpleNamespace(test=(images, np.zeros(9, int)), names=NAMES)
    report.show(
        worst_mistakes(SimpleNamespace(data=data, predict=lambda inputs: probabilities, watcher=report))
    )
    return screen.getvalue().splitlines()


def test_photographs_are_in_colour_where_the_terminal_has_colours():
    lines = shown(COLOURS, **TERMINAL)
    assert len(lines) == 16 + 2
    assert all(line.count("▀") == 3 * 32 for line in lines[:16])
    r, g, b = COLOURS[0, :, 0, 0]
    assert f"38;2;{r};{g};{b};" in lines[0]
    assert lines[16].count("automobile read as airplane") == 3
    assert [lines[17].index(f"{sure}% sure") for sure in (90, 89, 88)] == [4, 4 + 35, 4 + 70]


@pytest.mark.parametrize(
    "console",
    [
        {},
        {**TERMINAL, "_environ": {"NO_COLOR": "1"}},
        {**TERMINAL, "color_system": None},
        {**TERMINAL, "color_system": "standard"},
    ],
)
def test_photographs_are_grey_where_it_has_none(console):
    lines = shown(COLOURS, **console)
    assert len(lines) == 16 + 2
    assert not any("\x1b" in line or "▀" in line for line in lines)
    assert all(set(line) <= set(" .:-=+*#%@") for line in lines[:16])


@pytest.mark.parametrize(("width", "images"), [(106, 3), (105, 2), (71, 2), (70, 1), (20, 1)])
@pytest.mark.parametrize("console", [{}, TERMINAL])
def test_as_many_are_shown_as_there_is_room_for(console, width, images):
    lines = shown(COLOURS, width=width, **console)
    assert lines[-1].count("sure") == images
    assert not images > 1 or lines[-2].count("automobile read as airplane") == images


def test_grey_images_are_characters_on_every_terminal():
    lines = shown(GREYS, **TERMINAL)
    assert len(lines) == 8 + 2
    assert not any("▀" in line for line in lines)


def test_no_mistakes_are_told():
    assert shown(COLOURS, np.eye(2)[np.zeros(9, int)]) == ["    no mistakes at all"]


def test_outputs_that_are_not_numbers_are_told():
    lost = np.full((9, 2), np.nan)
    assert shown(GREYS, lost)[-1] == "    automobile, automobile, automobile: the output is not a number"
    lost[0] = 0.2, 0.8
    *_, read, sure, rest = shown(GREYS, lost)
    assert (read, sure) == ("    automobile read as airplane", "    80% sure")
    assert rest == "    automobile, automobile: the output is not a number"
