"""The benchmarks' arithmetic and names, without timing anything."""

from __future__ import annotations

import pytest

from benchmarks.conv import Shape
from benchmarks.runner import row
from benchmarks.suite import WORKLOADS
from benchmarks.training import flops
from benchmarks.workload import FRAMEWORKS, OURS, Workload

GEMM = Workload("gemm", {}, flops=2e9)


def test_a_row_holds_medians_the_ratio_to_the_best_peer_and_the_fraction_of_the_peak() -> None:
    times = {OURS: [9.0, 10.0, 50.0], "torch-eager": [30.0, 30.0, 1.0], "torch-fused": [20.0, 25.0, 15.0]}
    result = row(GEMM, times, peaks=[300.0, 400.0, 900.0], peak_mib=1.5)
    assert result == {
        "workload": "gemm",
        "ours_ms": 10.0,
        "peers": {"torch-eager": 30.0, "torch-fused": 20.0},
        "ratio_to_best_peer": 2.0,
        "gflops": 200.0,
        "fraction_of_peak": 0.5,
        "peak_mib": 1.5,
    }


def test_without_peers_there_is_no_ratio() -> None:
    result = row(Workload("import", {}), {OURS: [5.0]}, peaks=[], peak_mib=None)
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
    ],
)
def test_the_workloads_others_rely_on_are_there(name: str) -> None:
    assert OURS in WORKLOADS[name].variants


def test_every_variant_belongs_to_a_known_framework() -> None:
    for workload in WORKLOADS.values():
        assert workload.variants.keys() <= FRAMEWORKS.keys()
