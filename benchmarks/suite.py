"""All workloads, in the order in which they are reported."""

from __future__ import annotations

from benchmarks import (
    attention,
    bpe,
    cifar_accuracy,
    cifar_epoch,
    cnn,
    conv,
    gemm,
    generation,
    gpt,
    image_layers,
    int8,
    int8_models,
    mlp,
    mnist_epoch,
    perceptron,
    recurrent,
    resnet,
    startup,
    text_layers,
    xor,
)
from benchmarks.workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for module in (
        gemm, int8, int8_models, perceptron, xor, mlp, mnist_epoch, conv, image_layers, cnn, resnet,
        cifar_epoch, cifar_accuracy, attention, text_layers, gpt, generation, bpe, recurrent, startup,
    )
    for workload in module.WORKLOADS
}  # fmt: skip
