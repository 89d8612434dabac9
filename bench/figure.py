"""One measured figure and its budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table: what was measured, the value, and the most it may be."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say "ok" or "OVER"; nothing for a figure without a budget."""
        if self.budget is None:
            return ""
        good = self.value >= self.budget if self.at_least else self.value <= self.budget
        return "ok" if good else "OVER"

    def row(self) -> str:
        """Format as a line of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        budget = "" if self.budget is None else f"{sign} {self.budget:g} {self.unit}"
        cells = (self.what, f"{self.value:.4g} {self.unit}", budget, self.verdict, self.note)
        return f"| {' | '.join(cells)} |"
