"""The Trainer: learns, tells, stops, saves, and goes on with the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim
from tinytorch.data import DataLoader, TensorDataset
from tinytorch.models import MLP
from tinytorch.training import Callback, Checkpoint, EarlyStopping, PrintProgress, Trainer

X, Y = tt.datasets.xor(120, seed=0)


class Setup:
    """A trainer with everything that has a state: dropout, AdamW, a schedule, a loader's generator."""

    def __init__(self, epochs=6, own_generator=True, **options):
        tt.manual_seed(1)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        generator = tt.Generator().manual_seed(5) if own_generator else None
        self.loader = DataLoader(TensorDataset(X, Y), batch_size=40, shuffle=True, generator=generator)
        optimizer = optim.AdamW(model.parameters(), lr=0.02)
        scheduler = optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.05, total_steps=epochs * len(self.loader)
        )
        options = {"scheduler": scheduler, "clip_norm": 1.0, "metrics": {}, **options}
        self.trainer = Trainer(model, optimizer, nn.BCEWithLogitsLoss(), **options)

    def weights(self):
        return [p.data.copy() for p in self.trainer.model.parameters()]


def test_fit_learns_and_keeps_a_history():
    tt.manual_seed(0)
    model = MLP(2, (16,), 1)
    loader = DataLoader(TensorDataset(X, Y), batch_size=30, shuffle=True)
    metrics = {"accuracy": lambda output, y: float(((output.data > 0) == (y.data > 0.5)).mean())}
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.05), nn.BCEWithLogitsLoss(), metrics=metrics)
    history = trainer.fit(loader, 20, validation=loader)
    assert [entry["epoch"] for entry in history] == list(range(1, 21))
    assert set(history[0]) == {"epoch", "loss", "seconds", "validation_loss", "accuracy"}
    assert history[-1]["accuracy"] > 0.95
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]


def test_means_weigh_examples_and_not_batches():
    model = nn.Linear(1, 1)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.0), nn.MSELoss(), metrics={})
    x = tt.arange(5).reshape(5, 1).float()
    batches = DataLoader(TensorDataset(x, tt.zeros(5, 1)), batch_size=4)
    with tt.no_grad():
        expected = nn.MSELoss()(model(x), tt.zeros(5, 1)).item()
    assert trainer.evaluate(batches)["validation_loss"] == pytest.approx(expected, rel=1e-6)
    assert trainer.fit(batches, 1)[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_evaluation_leaves_the_mode_alone():
    setup = Setup()
    setup.trainer.model.eval()
    setup.trainer.evaluate(setup.loader)
    assert not setup.trainer.model.training


@pytest.mark.parametrize("own_generator", [True, False])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, own_generator):
    whole = Setup(own_generator=own_generator)
    whole.trainer.fit(whole.loader, 6)

    first = Setup(own_generator=own_generator, callbacks=[Checkpoint(tmp_path / "c.safetensors")])
    first.trainer.fit(first.loader, 2)
    tt.manual_seed(99)  # another process would not be where this one is
    second = Setup(own_generator=own_generator)
    tt.rand(7)
    second.trainer.resume(tmp_path / "c.safetensors").fit(second.loader, 6)

    assert [e["loss"] for e in second.trainer.history] == [e["loss"] for e in whole.trainer.history]
    assert all(np.array_equal(a, b) for a, b in zip(whole.weights(), second.weights(), strict=True))


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path):
    setup = Setup()
    setup.trainer.fit(setup.loader, 1)
    setup.trainer.save(tmp_path / "c.safetensors")
    other = nn.Linear(2, 1)
    before = other.weight.data.copy()
    optimizer = optim.AdamW(other.parameters())
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    with pytest.raises(RuntimeError, match="nothing was loaded"):
        Trainer(other, optimizer, nn.MSELoss(), scheduler=scheduler).resume(tmp_path / "c.safetensors")
    assert np.array_equal(other.weight.data, before)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    setup = Setup()
    tt.save(setup.trainer.model.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"is no checkpoint: expected the format .* Is it a state dict\?"):
        setup.trainer.resume(tmp_path / "weights.safetensors")
    setup.trainer.save(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="was saved with a scheduler and is loaded with no scheduler"):
        Setup(scheduler=None).trainer.resume(tmp_path / "c.safetensors")


def test_the_loader_must_have_the_generators_that_were_saved(tmp_path):
    setup = Setup()
    setup.trainer.fit(setup.loader, 1)
    setup.trainer.save(tmp_path / "c.safetensors")
    other = Setup(own_generator=False)
    with pytest.raises(ValueError, match="expected a loader with 1 generators of its own"):
        other.trainer.resume(tmp_path / "c.safetensors").fit(other.loader, 2)


class Partial(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x):
        return self.used(x)


def test_it_warns_once_of_parameters_that_never_get_a_gradient():
    model = Partial()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.BCEWithLogitsLoss(), metrics={})
    loader = DataLoader(TensorDataset(X, Y), batch_size=60)
    with pytest.warns(
        UserWarning, match="no gradient, so they do not train: unused.bias, unused.weight"
    ) as warned:
        trainer.fit(loader, 3)
    assert len(warned) == 1


def test_parameters_that_are_frozen_on_purpose_are_not_mentioned():
    model = Partial()
    for parameter in model.unused.parameters():
        parameter.requires_grad_(False)
    Trainer(model, optim.SGD(model.used.parameters(), lr=0.1), nn.BCEWithLogitsLoss(), metrics={}).fit(
        DataLoader(TensorDataset(X, Y), batch_size=60), 1
    )
    assert model.unused.weight.grad is None


def test_a_loss_that_is_not_finite_stops_it():
    model = nn.Linear(2, 1)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=1e30), nn.MSELoss(), metrics={})
    with pytest.raises(
        FloatingPointError, match=r"the loss of a batch in epoch 1 is (inf|nan). Try a smaller learning rate"
    ):
        trainer.fit(DataLoader(TensorDataset(X, Y), batch_size=20), 3)


def test_no_batches_are_an_error():
    setup = Setup()
    with pytest.raises(ValueError, match="expected at least one batch, and the loader gave none"):
        setup.trainer.fit([], 1)
    with pytest.raises(ValueError, match="expected at least one batch"):
        setup.trainer.evaluate([])


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="or \"epoch\", got 'never'"):
        Setup(schedule="never")


def test_schedules_step_by_batch_or_by_epoch():
    def rate_after_two_epochs(schedule, make):
        model = nn.Linear(2, 1)
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        trainer = Trainer(
            model, optimizer, nn.BCEWithLogitsLoss(), scheduler=make(optimizer), schedule=schedule, metrics={}
        )
        trainer.fit(DataLoader(TensorDataset(X, Y), batch_size=60), 2)
        return optimizer.param_groups[0]["lr"]

    def halve(optimizer):
        return optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    def plateau(optimizer):
        return optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, patience=0, threshold=10.0, threshold_mode="abs"
        )

    assert rate_after_two_epochs("epoch", halve) == 0.25
    assert rate_after_two_epochs("batch", halve) == 0.0625
    assert rate_after_two_epochs("batch", plateau) == pytest.approx(0.1)


class Recorder(Callback):
    def __init__(self):
        self.batches, self.epochs = 0, []

    def on_batch_end(self, trainer, loss):
        self.batches += 1

    def on_epoch_end(self, trainer, entry):
        self.epochs.append(entry["epoch"])


def test_callbacks_are_called(capsys):
    recorder = Recorder()
    setup = Setup(callbacks=[recorder, PrintProgress(every=2)])
    setup.trainer.fit(setup.loader, 4)
    assert (recorder.batches, recorder.epochs) == (12, [1, 2, 3, 4])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 2", "epoch 4"]


def test_early_stopping_waits_for_its_patience():
    trainer = Setup(callbacks=[]).trainer
    stopping = EarlyStopping(monitor="validation_loss", patience=2)
    for loss in (1.0, 0.5, 0.6, float("nan"), 0.4):
        trainer.history.append({"epoch": len(trainer.history) + 1, "validation_loss": loss})
        stopping.on_epoch_end(trainer, trainer.history[-1])
        if trainer.stop:
            break
    assert trainer.epoch == 4
    with pytest.raises(
        KeyError, match="expected 'accuracy' in the history, which has epoch, validation_loss"
    ):
        EarlyStopping("accuracy").on_epoch_end(trainer, {})
    with pytest.raises(ValueError, match="expected patience from 1 up, got 0"):
        EarlyStopping(patience=0)


def test_the_best_checkpoint_is_kept(tmp_path):
    setup = Setup(callbacks=[])
    checkpoint = Checkpoint(tmp_path / "best.safetensors", best="loss")
    for loss in (1.0, 0.5, 0.7):
        setup.trainer.history.append({"epoch": len(setup.trainer.history) + 1, "loss": loss})
        checkpoint.on_epoch_end(setup.trainer, setup.trainer.history[-1])
    assert tt.load(tmp_path / "best.safetensors")["history"][-1]["loss"] == 0.5
