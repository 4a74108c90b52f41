"""What the flags come to, and what is said about those that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinytorch.milestone.flags import parse


@pytest.fixture
def mnist(milestones):
    return milestones["mlp_mnist"]


def test_defaults_are_the_milestones(mnist):
    settings = parse(mnist, [])
    assert (settings.mode, settings.epochs, settings.batch_size, settings.lr) == ("train", 8, 128, 5e-3)
    assert (settings.seed, settings.plots, settings.json) == (0, True, False)
    assert settings.output_dir == Path(__file__).resolve().parents[2] / "results"


def test_given_values_win_over_the_mode(mnist):
    settings = parse(
        mnist, ["--demo-mode", "--epochs", "3", "--batch-size", "7", "--lr", "0.5", "--seed", "9"]
    )
    assert (settings.mode, settings.epochs, settings.batch_size, settings.lr, settings.seed) == (
        "demo",
        3,
        7,
        0.5,
        9,
    )


def test_demo_mode_trains_less(mnist):
    assert parse(mnist, ["--demo-mode"]).epochs < parse(mnist, []).epochs


def test_nothing_is_trained_with_pretrained_weights(mnist):
    settings = parse(mnist, ["--use-pretrained", "--epochs", "3"])
    assert settings.epochs == 0
    assert not settings.trains
    assert settings.ignored == ("--epochs",)


@pytest.mark.parametrize(
    ("script", "flags", "ignored"),
    [
        ("mlp_mnist", ["--lr", "1", "--batch-size", "7", "--profile", "--scaling"], ()),
        ("mlp_mnist", ["--use-pretrained", "--lr", "1", "--batch-size", "7"], ("--batch-size", "--lr")),
        ("mlp_mnist", ["--use-pretrained", "--lr", "1", "--batch-size", "7", "--profile"], ("--lr",)),
        ("mlp_mnist", ["--use-pretrained", "--epochs", "1", "--lr", "1", "--scaling"], ("--epochs",)),
        ("perceptron_trained", ["--use-pretrained", "--epochs", "1", "--lr", "1"], ("--epochs",)),
        (
            "mlp_mnist",
            ["--test-only", "--scaling", "--profile", "--batch-size", "7", "--seed", "3", "--no-plots"],
            ("--batch-size", "--no-plots", "--scaling", "--profile"),
        ),
        (
            "mlp_mnist",
            ["--test-only", "--data-dir", "d", "--output-dir", "o"],
            ("--data-dir", "--output-dir"),
        ),
    ],
)
def test_what_changes_nothing_is_reported(milestones, script, flags, ignored):
    """A rate is used with pre-trained weights too, where an encore or the scaling study trains."""
    assert parse(milestones[script], flags).ignored == ignored


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1 up, got '0'"),
        (["--epochs", "many"], "argument --epochs: expected a whole number from 1 up, got 'many'"),
        (["--batch-size", "-4"], "argument --batch-size: expected a whole number from 1 up, got '-4'"),
        (["--lr", "0"], "argument --lr: expected a number above 0, got '0'"),
        (["--lr", "nan"], "argument --lr: expected a number above 0, got 'nan'"),
        (["--seed", "-1"], "argument --seed: expected a whole number from 0 up, got '-1'"),
        (["--threads", "0"], "argument --threads: expected a whole number from 1 up, got '0'"),
        (["--test-only", "--demo-mode"], "not allowed with argument --test-only"),
        (
            ["--use-pretrained", "--save-weights"],
            "--save-weights: expected a run that trains, got --use-pretrained",
        ),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
    ],
)
def test_bad_usage_is_explained_and_ends_with_2(mnist, flags, text, capsys):
    with pytest.raises(SystemExit) as end:
        parse(mnist, flags)
    assert end.value.code == 2
    assert text in capsys.readouterr().err


def test_help_names_every_flag_and_exit_code(mnist, capsys):
    with pytest.raises(SystemExit) as end:
        parse(mnist, ["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    modes = ("test-only", "demo-mode", "use-pretrained")
    others = (
        "epochs",
        "batch-size",
        "lr",
        "seed",
        "threads",
        "data-dir",
        "output-dir",
        "no-plots",
        "scaling",
        "profile",
    )
    assert all(f"--{flag}" in said for flag in (*modes, *others, "json"))
    assert all(f"\n  {code}  " in said for code in range(4))


def test_each_model_has_its_own_recipe_and_weights(milestones, capsys):
    cifar = milestones["lecun_cifar10"]
    usual, other = parse(cifar, []), parse(cifar, ["--model", "resnet"])
    assert (usual.chosen, other.chosen) == ({"model": "lenet"}, {"model": "resnet"})
    assert (usual.epochs, usual.lr) == (cifar.epochs, cifar.lr)
    resnet = cifar.choose({"model": "resnet"})
    assert (other.epochs, other.lr) == (resnet.epochs, resnet.lr) != (usual.epochs, usual.lr)
    assert cifar.choose({"model": "lenet"}).weights_file.name == "lecun_cifar10.safetensors"
    assert resnet.weights_file.name == "lecun_cifar10_resnet.safetensors"
    with pytest.raises(SystemExit):
        parse(cifar, ["--help"])
    assert f"default {cifar.epochs}, {resnet.epochs} for resnet" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parse(cifar, ["--model", "vgg"])
    assert (
        "argument --model: invalid choice: 'vgg' (choose from 'lenet', 'resnet')" in capsys.readouterr().err
    )


def test_a_milestone_of_one_model_has_no_such_flag(mnist, capsys):
    assert parse(mnist, []).chosen == {}
    with pytest.raises(SystemExit):
        parse(mnist, ["--model", "lenet"])
    assert "unrecognized arguments: --model lenet" in capsys.readouterr().err
