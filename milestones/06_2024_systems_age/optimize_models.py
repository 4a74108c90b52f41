"""
By 2024 the models that people used had been trained elsewhere, once, at great cost, and were asked millions
of times a day. Much of the work had moved from making a network learn to making it small and fast enough to
be asked at all. Song Han's "Deep compression" (2015) had shown that most weights of a network can go, and the
rest be stored in a few bits; Geoffrey Hinton's distillation (2015), that a small network learns more from a
large one's doubts than from the answers alone; Benoit Jacob and others (2018), that integers are enough.

Here the trained models of milestones 3, 4 and 5 are quantised, pruned, factorised, distilled and frozen.
Every figure is read off a file, a clock and the test set, and what does not pay on this machine is said not
to.
"""

import sys

from tinytorch import systems
from tinytorch.milestone.metric import Metric
from tinytorch.milestone.optimize import INT8, Plan, Study, Technique, main
from tinytorch.systems import quantization

# --- fewer bits: stored and computed in int8, or stored small and computed in float32 ---------------------


def int8_dynamic(subject):
    """Each input is quantised by its own range when it comes: no data needed, but work for every answer."""
    return quantization.quantize_dynamic(subject.model)


def int8_static(observer):
    """Ranges found beforehand on training data; codes go from layer to layer, norms are folded."""
    return lambda subject: quantization.quantize_static(subject.model, subject.calibration(), observer)


def int8_trained(subject):
    """Trained on with rounded weights and activations, the gradient going straight through the rounding."""
    model = quantization.prepare_qat(subject.model)
    return quantization.convert(subject.finetune(model, lr=0.1))


def int_weights(bits):
    return lambda subject: systems.quantize_weight_only(subject.model, bits)


def bfloat16(subject):
    return systems.store_bfloat16(subject.model)


# --- fewer weights ------------------------------------------------------------------------------------------


def pruned(subject):
    """Of five weights four become zero, bit by bit while it trains on. Nothing here computes faster with
    zeros; a file that leaves them out is smaller."""
    model = subject.copy()
    steps = subject.steps(epochs=2)
    pruner = systems.GradualPruner(model, 0.801, steps=steps // 2, every=10)
    return subject.finetune(model, epochs=2, after_step=pruner.apply)


def two_of_four(subject):
    model = subject.copy()
    pruner = systems.prune_n_m(model, 2, 4, exclude=subject.indivisible_by(4))
    return subject.finetune(model, after_step=pruner.apply)


def fewer_channels(fraction):
    """Whole channels and hidden units go, so that the arrays shrink and the same kernels have less to do."""

    def prune(subject):
        importance = systems.taylor_importance(subject.model, subject.examples(), subject.loss)
        small = systems.prune_channels(
            subject.model, fraction, example_input=subject.inputs(2), importance=importance, multiple_of=4
        )
        return subject.finetune(small, epochs=2)

    return prune


def fewer_heads(subject):
    return subject.finetune(systems.prune_heads(subject.model, 0.5))


def low_rank(energy):
    return lambda subject: subject.finetune(systems.factorize(subject.model, energy=energy))


def student(size, epochs=4):
    """A smaller network, from scratch: it learns from what the trained one says, doubts and all."""

    def teach(subject):
        teacher, criterion = subject.model, systems.DistillationLoss(temperature=3.0, alpha=0.7)
        return subject.finetune(
            subject.milestone.build(size),
            epochs=epochs,
            lr=3,
            loss=lambda x, output, y: criterion(output, subject.answers_of(teacher, x), y),
        )

    return teach


# --- the same weights ---------------------------------------------------------------------------------------


def frozen(subject):
    """Norms folded, operations fused and replayed from a tape, every intermediate array planned."""
    return systems.freeze(subject.model, subject.inputs(1))


def chained(first, second):
    """One after the other: the second technique is given what the first one made."""
    return lambda subject: second(subject.with_model(first(subject)))


# --- what is done to which model ----------------------------------------------------------------------------

CLASSIFIER = [
    Technique("frozen", frozen),
    Technique("bfloat16", bfloat16),
    Technique("int8, dynamic", int8_dynamic),
    Technique(INT8, int8_static("minmax")),
    Technique("int8, percentile", int8_static("percentile")),
    Technique("int8, MSE", int8_static("mse")),
    Technique("int8, QAT", int8_trained, trains=True),
    Technique("80 % zeros", pruned, trains=True),
    Technique("2 of 4 zeros", two_of_four, trains=True),
    Technique("half the channels", fewer_channels(0.5), trains=True),
    Technique("low rank", low_rank(0.8), trains=True),
    Technique("half of them, int8", chained(fewer_channels(0.5), int8_static("minmax")), trains=True),
]

STUDY = Study(
    file=__file__,
    year=2024,
    title="The systems age",
    history=__doc__,
    insight="""
    A weight costs bytes where it is stored and time where it is fetched; int8 takes a quarter of both. Zeros
    pay only in a file that leaves them out: a matrix product does not look. Channels that are gone pay
    everywhere, and need no kernel that knows of them.

    What the clock says depends on the processor and on how many examples are asked about at once. A model of
    this size answers one image in the time of a few function calls, so what saves calls beats what saves
    arithmetic; with a batch it is the other way round. Measure where it will run. """,
    dataset="the data of milestones 3 to 5",
    metric=Metric("times_smaller", "smaller by int8 at least, with hardly a loss", unit="×"),
    marks={"pass": 3.5},
    epochs=1,
    demo_epochs=1,
    batch_size=64,
    lr=1e-3,
    sizes=(1, 8, 64, 256),
    size_label="examples at a time",
    options={
        "models": "some of mlp, cnn, gpt (default: all)",
        "max-bytes": "budget: the largest file",
        "max-latency-ms": "budget: the longest time for one answer, in milliseconds",
        "min-accuracy": "budget: the least accuracy, as 0.97 or 97",
    },
    plans={
        "mlp": Plan(
            script="03_1986_mlp_revival/mlp_mnist.py",
            embedded="03_1986_mlp_revival/mlp_digits.py",
            techniques=[*CLASSIFIER, Technique("distilled student", student(32), trains=True)],
            loses=0.005,
        ),
        "cnn": Plan(
            script="04_1998_cnn_revolution/lecun_cifar10.py",
            embedded="04_1998_cnn_revolution/cnn_digits.py",
            techniques=[*CLASSIFIER, Technique("distilled student", student(8, epochs=2), trains=True)],
            loses=0.005,
        ),
        "gpt": Plan(
            script="05_2017_transformer_era/vaswani_shakespeare.py",
            embedded="05_2017_transformer_era/vaswani_grammar.py",
            techniques=[
                Technique("bfloat16", bfloat16),
                Technique(INT8, int8_dynamic),
                Technique("int8 weights", int_weights(8)),
                Technique("int4 weights", int_weights(4)),
                Technique("half the units", fewer_channels(0.5), trains=True),
                Technique("half the heads", fewer_heads, trains=True),
                Technique("low rank", low_rank(0.9), trains=True),
                Technique("80 % zeros", pruned, trains=True),
            ],
            loses=0.02,
            epochs=0.15,
            embedded_epochs=0.06,
        ),
    },
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
