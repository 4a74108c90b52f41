"""What a model costs: parameters, FLOPs, bytes, seconds and memory, layer by layer."""
