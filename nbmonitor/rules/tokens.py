"""What batches are made of: padding that is computed for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

KEY = "tokens/padding_ratio"


class PaddingWaste(Rule):
    """More than half of the places in the batches hold no token."""

    name = "padding_waste"
    keys = (KEY,)
    every = 10
    calm = 3
    recent, needed = 50, 30
    most, opened_most = 0.5, 0.4

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Average over the last steps."""
        rows = seen.finite(KEY, self.recent)
        if rows.shape[1] < self.needed:
            return
        share = float(rows[1].mean())
        if share <= (self.opened_most if self.opened else self.most):
            return
        yield self.finding(
            "Most of the batch is padding",
            f"{100 * share:.0f} % of the places in the last {rows.shape[1]} batches were padding, "
            "and computed all the same.",
            "Group examples of similar length (group_by_length=True or "
            "train_sampling_strategy='group_by_length'), pack them (packing=True in TRL), or pad "
            "to the longest of the batch instead of to max_length.",
            key=KEY,
            panel="tokens",
            window=(rows[0, 0], rows[0, -1]),
            confidence=float((rows[1] > self.opened_most).mean()),
            value=share,
        )


RULES = (PaddingWaste,)
