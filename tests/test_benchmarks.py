"""The benchmarks' arithmetic and names, without timing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import cnn, resnet
from benchmarks.__main__ import chosen, table
from benchmarks.cifar_accuracy import history, seconds_until
from benchmarks.conv import Shape
from benchmarks.conv_scaling import BASE, DOUBLED, KINDS, draw, exponent, shapes, summary
from benchmarks.image_step import Network
from benchmarks.runner import Runner, row
from benchmarks.suite import WORKLOADS
from benchmarks.training import flops
from benchmarks.workload import FRAMEWORKS, OURS, Unavailable, Workload

GEMM = Workload("gemm", {}, flops=2e9)


def test_a_row_holds_medians_the_ratio_to_the_best_peer_and_the_fraction_of_the_peak() -> None:
    times = {OURS: [9.0, 10.0, 50.0], "torch-eager": [30.0, 30.0, 1.0], "torch-fused": [20.0, 25.0, 15.0]}
    memory = {OURS: 1.5, "torch-eager": 2.5}
    result = row(GEMM, times, [300.0, 400.0, 900.0], allocated=memory, resident={OURS: 80.0})
    assert result == {
        "workload": "gemm",
        "ours_ms": 10.0,
        "peers": {"torch-eager": 30.0, "torch-fused": 20.0},
        "ratio_to_best_peer": 2.0,
        "gflops": 200.0,
        "fraction_of_peak": 0.5,
        "peak_mib": 1.5,
        "peer_peak_mib": {"torch-eager": 2.5},
        "resident_mib": {OURS: 80.0},
    }


def test_without_peers_there_is_no_ratio() -> None:
    result = row(Workload("import", {}), {OURS: [5.0]})
    assert result["peers"] == {}
    assert result["ratio_to_best_peer"] is result["gflops"] is result["fraction_of_peak"] is None


def test_flops_of_a_step_leave_out_the_gradient_of_the_input() -> None:
    assert flops((3, 5), batch=2) == 2 * 2 * (2 * 15)
    assert flops((3, 5, 7), batch=1) == 2 * (2 * 15 + 3 * 35)


def test_flops_of_a_convolution():
    assert Shape(2, 4, 7, 6, 3, stride=2, groups=2).flops == 2 * 2 * 6 * (4 * 4) * 2 * 9
    assert all(workload.flops is None or workload.flops > 0 for workload in WORKLOADS.values())


@pytest.mark.parametrize(
    "name",
    [
        "gemm 1024 nt",
        "perceptron step",
        "xor step",
        "mlp step b64 adam",
        "mnist epoch b128 adam",
        "import",
        "cnn step b64 adam",
        "conv fwd 64x32x16x16-64 k3",
        "conv grad_input 64x32x16x16-64 k3",
        "conv grad_weight 64x32x16x16-64 k3",
        "pool max fwd 64x32x32x32 k2",
        "pool avg fwd+bwd 64x32x32x32 k2",
        "batchnorm fwd+bwd 128x64x16x16",
        "resnet step b128 sgd",
        "cifar epoch b128 augmented",
        "cifar seconds to 65 %",
        "cifar seconds to 80 %",
        "gpt step b12 t64",
        "gpt step b32 t64",
        "layer norm fwd+bwd 8192x768",
        "embedding fwd+bwd 50257x8192x768",
        "cross-entropy fwd+bwd 1024x50257",
        "bpe train 1 MB 1000 merges",
        "bpe encode 1 MB",
    ],
)
def test_the_workloads_others_rely_on_are_there(name: str) -> None:
    assert OURS in WORKLOADS[name].variants


def test_every_variant_belongs_to_a_known_framework() -> None:
    for workload in WORKLOADS.values():
        assert workload.variants.keys() <= FRAMEWORKS.keys()


def test_what_takes_minutes_is_left_out_where_no_names_are_given() -> None:
    default, named = chosen([]), chosen(["cifar"])
    assert not any(workload.by_name for workload in default)
    assert len(default) == sum(not workload.by_name for workload in WORKLOADS.values())
    assert [workload.name.split()[1] for workload in named] == ["epoch", "seconds", "seconds"]


class Answers:
    """In the place of a worker: an exception is raised, anything else is answered."""

    def __init__(self, answer: Any):
        self.answer = answer

    def ask(self, **request: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None: ...


def measured(ours: Any, peer: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    runner = Runner(threads=1, rounds=2, say=said.append)
    runner.missing = []
    answers: Any = {OURS: Answers(ours), "torch-eager": Answers(peer)}
    runner._workers = answers
    return runner.measure(Workload("work", dict.fromkeys(answers, lambda: lambda: None))), said


def test_work_that_cannot_be_done_gets_a_row_with_the_reason_and_no_figure() -> None:
    result, said = measured(Unavailable("no photographs"), 3.0)
    assert result["reason"] == "no photographs"
    assert said == ["work: not measured: no photographs"]
    assert result["peers"] == {}
    assert result["ours_ms"] is result["ratio_to_best_peer"] is None
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table([result], threads=1))
    assert "work (not measured)" in capture.get()


@pytest.mark.parametrize("failure", [RuntimeError("no compiler"), Unavailable("no compiler")])
def test_a_peer_that_fails_is_left_out_with_the_reason(failure: Exception) -> None:
    result, said = measured(2.0, failure)
    assert result["ours_ms"] == 2.0
    assert result["peers"] == {}
    assert said == ["work: torch-eager failed, left out:\nno compiler"]


def test_seconds_until_an_accuracy_is_reached() -> None:
    epochs = [
        {"epoch": 1, "accuracy": None, "seconds": 1.0},
        {"epoch": 2, "accuracy": 0.65, "seconds": 2.0},
        {"epoch": 3, "accuracy": 0.60, "seconds": 4.0},
    ]
    assert seconds_until(epochs, 0.60) == 3.0
    assert seconds_until(epochs, 0.65) == 3.0
    assert seconds_until(epochs, 0.66) is None


SCRIPT = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--output-dir") + 1], "milestone", "script")
folder.mkdir(parents=True)
(folder / "result.json").write_text(json.dumps({"history": [sys.argv[1]]}))
sys.exit(int(sys.argv[2]))
"""


def test_a_history_is_read_even_where_the_script_missed_its_own_mark(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert history(script, "said", "1") == ["said"]
    with pytest.raises(Unavailable, match=r"script\.py ended with exit code 3"):
        history(script, "said", "3")
    script.write_text("raise OSError('the disk is full')")
    with pytest.raises(Unavailable, match=r"(?s)exit code 1.*the disk is full"):
        history(script)
    with pytest.raises(Unavailable, match=r"absent\.py does not exist"):
        history(tmp_path / "absent.py")


@pytest.mark.parametrize("network", [cnn.NETWORK, resnet.NETWORK], ids=["cnn", "resnet"])
def test_the_networks_of_the_frameworks_have_the_same_parameters(network: Network) -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    shapes = [tuple(p.shape) for p in network.ours().parameters()]
    model = network.torch()
    assert [tuple(p.shape) for p in model.parameters()] == shapes
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    parameters, logits = network.jax()
    assert sorted(p.size for p in jax.tree.leaves(parameters)) == sorted(
        p.numel() for p in model.parameters()
    )
    assert jax.eval_shape(logits, parameters, jax.numpy.zeros((2, 32, 32, 3))).shape == (2, 10)


def test_flops_of_the_networks_are_those_of_their_products() -> None:
    cnn_products = [(27, 32, 32 * 32), (288, 64, 16 * 16), (4096, 256, 1), (256, 10, 1)]
    first, *others = [a * b * pixels for a, b, pixels in cnn_products]
    assert cnn.NETWORK.flops(2) == 2 * 2 * (2 * first + 3 * sum(others))


def test_scaling_finds_the_power_of_a_power_law(tmp_path: Path) -> None:
    assert exponent([1, 2, 4], [3.0, 3.0 * 2**1.5, 3.0 * 4**1.5]) == pytest.approx(1.5)
    times = {(kind, s, 2): s.batch * s.inputs**0.5 for kind in KINDS for f in DOUBLED for s in shapes(f)}
    times |= {(kind, BASE, 1): 1.8 * times[kind, BASE, 2] for kind in KINDS}
    found = json.loads(json.dumps(summary(times, threads=2)))
    expected = {"images": 1.0, "channels in": 0.5, "channels out": 0.0}
    for name, power in expected.items():
        assert found["exponents"][name] == pytest.approx(dict.fromkeys(KINDS, power), abs=1e-9)
    assert found["speed_up"] == pytest.approx(dict.fromkeys(KINDS, 1.8))
    pytest.importorskip("matplotlib")
    draw(times, found, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
