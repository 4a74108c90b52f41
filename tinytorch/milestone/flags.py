"""The flags that every milestone script understands."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinytorch.kernels._jit import get_num_threads
from tinytorch.milestone.script import Script

EXIT_CODES = """exit codes:
  0  the threshold is met, or there was nothing to meet
  1  trained, and missed it
  2  bad usage
  3  a dataset, or the pre-trained weights, cannot be had"""


@dataclass(frozen=True)
class Settings:
    """What the flags, and the milestone's defaults, come to.

    mode: "train", "demo", "pretrained" or "test-only". chosen: for each of the milestone's choices, the
    flag's name and what it chose. options: the milestone's own flags that were given, with their texts.
    ignored: flags that were given and mean nothing in this mode.
    """

    mode: str
    chosen: dict[str, str]
    epochs: int
    batch_size: int
    lr: float
    seed: int
    threads: int
    data_dir: Path | None
    output_dir: Path
    plots: bool
    scaling: bool
    profile: bool
    json: bool
    save_weights: bool
    options: dict[str, str]
    ignored: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether the milestone's own network is trained; studies and encores may train others."""
        return self.mode in ("train", "demo")


def parse(script: Script, arguments: Sequence[str] | None) -> Settings:
    """Read the flags. Bad usage is explained on stderr and ends with SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog=f"{script.script}.py",
        description=f"{script.title} ({script.year}). Trains on {script.dataset}, "
        f"passes at {script.metric.mark_text(script.threshold).replace('%', '%%')}.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    modes = parser.add_argument_group("what to do (default: train and report)").add_mutually_exclusive_group()
    modes.add_argument(
        "--test-only", action="store_true", help="build, one forward and backward; no data, no training"
    )
    modes.add_argument(
        "--demo-mode",
        action="store_true",
        help=f"train for fewer epochs: {_default(script, 'demo_epochs')}",
    )
    modes.add_argument(
        "--use-pretrained", action="store_true", help="evaluate the weights that ship, train none"
    )
    recipe = parser.add_argument_group("the recipe")
    for flag, named in script.choices.items():
        recipe.add_argument(f"--{flag}", choices=named, default=next(iter(named)), help="default %(default)s")
    for flag, kind, letter, what in (
        ("--epochs", _whole(1), "N", ""),
        ("--batch-size", _whole(1), "N", ""),
        ("--lr", _positive, "X", "learning rate, "),
    ):
        usual = _default(script, flag[2:].replace("-", "_"))
        recipe.add_argument(flag, type=kind, metavar=letter, help=f"{what}default {usual}")
    recipe.add_argument(
        "--seed", type=_whole(0), default=0, metavar="N", help="fixes everything random, default 0"
    )
    recipe.add_argument(
        "--threads", type=_whole(1), metavar="N", help="the result is the same for any number"
    )
    for flag, meaning in script.options.items():
        recipe.add_argument(f"--{flag}", metavar="TEXT", help=meaning)
    places = parser.add_argument_group("where things are")
    places.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="default: TINYTORCH_DATA_DIR, else the user's cache"
    )
    places.add_argument("--output-dir", type=Path, metavar="DIR", help="default: results, beside milestones")
    report = parser.add_argument_group("the report")
    report.add_argument("--no-plots", action="store_true", help="save no pictures")
    sizes = ", ".join(map(str, script.sizes))
    report.add_argument("--scaling", action="store_true", help=f"also train with {sizes} {script.size_label}")
    report.add_argument("--profile", action="store_true", help="also say which operations took the time")
    report.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    report.add_argument(
        "--save-weights", action="store_true", help="make what was trained the pre-trained weights"
    )
    given = parser.parse_args(arguments)

    mode = next((m for m in ("test_only", "demo_mode", "use_pretrained") if getattr(given, m)), None)
    mode = {"test_only": "test-only", "demo_mode": "demo", "use_pretrained": "pretrained", None: "train"}[
        mode
    ]
    trains = mode in ("train", "demo")
    if given.save_weights and not trains:
        parser.error(f"argument --save-weights: expected a run that trains, got --{_flag(mode)}")
    meaningless = _meaningless(script, mode, given)
    chosen = {flag: getattr(given, flag) for flag in script.choices}
    texts = {flag: getattr(given, flag.replace("-", "_")) for flag in script.options}
    script = script.choose(chosen)
    ignored = tuple(f"--{_flag(name)}" for name in meaningless if getattr(given, name) not in (None, False))
    return Settings(
        mode=mode,
        chosen=chosen,
        epochs=given.epochs or (script.demo_epochs if mode == "demo" else script.epochs) if trains else 0,
        batch_size=given.batch_size or script.batch_size,
        lr=given.lr or script.lr,
        seed=given.seed,
        threads=given.threads or get_num_threads(),
        data_dir=given.data_dir,
        output_dir=given.output_dir or script.root / "results",
        plots=not given.no_plots,
        scaling=given.scaling,
        profile=given.profile,
        json=given.json,
        save_weights=given.save_weights,
        options={flag: text for flag, text in texts.items() if text is not None},
        ignored=ignored,
    )


def _default(script: Script, name: str) -> str:
    """What a setting is where no flag says otherwise, and where a choice changes it."""
    usual = getattr(script, name)
    told = [f"{usual:g}"]
    for named in script.choices.values():
        told += [
            f"{over[name]:g} for {choice}" for choice, over in named.items() if over.get(name, usual) != usual
        ]
    return ", ".join(told)


def _meaningless(script: Script, mode: str, given: argparse.Namespace) -> list[str]:
    """The flags that change nothing in this mode."""
    if mode == "test-only":
        return [
            "epochs", "batch_size", "lr", "data_dir", "output_dir", "no_plots", "scaling", "profile",
        ]  # fmt: skip
    if mode != "pretrained":
        return []
    names = ["epochs"]  # an encore trains for the milestone's own, the scaling study for its few
    if not (given.scaling or script.encore):
        names += ["lr"] if given.profile else ["batch_size", "lr"]
    return names


def _flag(name: str) -> str:
    return {"pretrained": "use-pretrained"}.get(name, name.replace("_", "-"))


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text!r}")
        return value

    return read


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
