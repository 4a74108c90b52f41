"""What a model costs: parameters, FLOPs, bytes, time and memory."""

from tinytorch.systems.counting import OpTotal, count_ops
from tinytorch.systems.memory import peak_memory, process_peak
from tinytorch.systems.profile import LayerProfile, ModelProfile, latency, profile

__all__ = [
    "LayerProfile",
    "ModelProfile",
    "OpTotal",
    "count_ops",
    "latency",
    "peak_memory",
    "process_peak",
    "profile",
]
