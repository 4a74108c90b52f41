"""All workloads, in the order in which they are reported."""

from __future__ import annotations

from benchmarks import cnn, conv, gemm, mlp, mnist_epoch, perceptron, startup, xor
from benchmarks.workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for module in (gemm, perceptron, xor, mlp, mnist_epoch, conv, cnn, startup)
    for workload in module.WORKLOADS
}
