"""What is told of each parameter tensor, and how: names, meanings, and the arithmetic."""

from __future__ import annotations

STATISTICS = (
    "mean", "std", "min", "max", "l2", "sparsity", "grad_l2", "grad_max", "change_l2", "change_max"
)  # fmt: skip
UNITS = {
    "mean": "mean of the weights",
    "std": "standard deviation of the weights",
    "min": "smallest weight",
    "max": "largest weight",
    "l2": "L2 norm: root of the sum of squares",
    "sparsity": "share of weights below a thousandth of the root mean square (from a sample)",
    "grad_l2": "L2 norm of the gradient as the optimiser saw it (estimate from a sample)",
    "grad_max": "largest magnitude in a sample of the gradient",
    "change_l2": "L2 norm of the change since the last snapshot (estimate from a sample)",
    "change_max": "largest magnitude in a sample of the change since the last snapshot",
}
