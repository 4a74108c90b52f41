"""Recording operations and carrying gradients back."""
