"""What every script prints: its story first, what it says about systems last; silence with `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from tinytorch.milestone.flags import Settings
from tinytorch.milestone.script import Script

INDENT = 4  # characters before each line of a picture
WHY_IGNORED = {
    "test-only": "--test-only reads no data, trains nothing and writes no files",
    "pretrained": "the weights are trained already",
}


class Telling:
    """The parts of the story in the terminal that all scripts have."""

    def __init__(self, script: Script, settings: Settings, console: Console | None = None):
        self.script, self.settings = script, settings
        self.console = console or Console(quiet=settings.json, highlight=False, soft_wrap=False)

    def opening(self) -> None:
        """Who this is, and why it matters."""
        self.console.print(
            Panel(
                Text(_paragraphs(self.script.history)),
                title=f"[bold]{self.script.title}[/] · {self.script.year}",
                border_style="blue",
                padding=(1, 2),
            )
        )
        if self.settings.ignored:
            self.console.print(
                f"[yellow]ignored:[/] {', '.join(self.settings.ignored)}: {WHY_IGNORED[self.settings.mode]}"
            )

    def insight(self) -> None:
        """What it says about systems."""
        self.console.print(
            Panel(
                Text(_paragraphs(self.script.insight)),
                title="[bold]What to take away[/]",
                border_style="green",
                padding=(1, 2),
            )
        )

    def files(self, folder: Path, paths: Sequence[Path], note: str = "") -> None:
        """What was written, and where."""
        self.unwrapped(f"written to {folder}: {', '.join(path.name for path in paths)}{note}")

    def no_pictures(self) -> None:
        """Why there are none."""
        self.unwrapped("no pictures: matplotlib is not installed; pip install 'tinytorch[plots]' gets it")

    def say(self, text: str) -> None:
        """A line from the script itself."""
        self.console.print(text)

    def show(self, lines: Sequence[str]) -> None:
        """A picture made of characters."""
        for line in lines:
            self.console.print(
                Text.from_ansi(" " * INDENT + line), soft_wrap=True, no_wrap=True, overflow="crop"
            )

    def unwrapped(self, text: str) -> None:
        """A line that a terminal may break where it likes: paths are to be copied whole."""
        self.console.print(text, soft_wrap=True, markup=False)


def _paragraphs(text: str) -> str:
    """Lines of a paragraph joined, so that the terminal's own width breaks them."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
