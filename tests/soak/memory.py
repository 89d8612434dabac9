"""Samples of memory over time, and whether they are flat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MB = 2**20
# MB that a process may gain over the last two thirds: what a leak of half a MB a minute takes in
# the twenty minutes that this is in full, and the noise of a short form.
LIMIT = 10.0
WINDOWS = 20


@dataclass
class Memory:
    """What one process took over time.

    Parameters
    ----------
    what
        Whose memory it is.
    """

    what: str
    seconds: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)

    def add(self, seconds: float, size: float) -> None:
        """Note a size in bytes."""
        self.seconds.append(seconds)
        self.sizes.append(size / MB)

    @property
    def growth(self) -> float:
        """MB gained over the last two thirds, along the straight line that fits best what stays.

        A page that comes is sent everything, and that takes memory for seconds: what stays is the
        least in each of `WINDOWS` parts of the time.
        """
        at, sizes = np.array(self.seconds), np.array(self.sizes)
        late = at >= at[-1] / 3
        at, sizes = at[late], sizes[late]
        parts = [p for p in np.array_split(np.arange(len(at)), WINDOWS) if len(p)]
        least = [part[sizes[part].argmin()] for part in parts]
        slope = np.polyfit(at[least], sizes[least], 1)[0]
        return float(slope * (at[-1] - at[0]))

    def row(self) -> str:
        """Format as a line of a Markdown table."""
        third = self.seconds[-1] / 3
        first = next(s for t, s in zip(self.seconds, self.sizes, strict=True) if t >= third)
        verdict = "flat" if self.growth <= LIMIT else "GROWS"
        numbers = (self.sizes[0], first, self.sizes[-1], max(self.sizes), self.growth, LIMIT)
        told = " | ".join(f"{number:.1f}" for number in numbers)
        return f"| {self.what} | {told} | {verdict} |"


HEAD = (
    "| memory, MB | at first | after a third | at the end | most "
    "| growth over the last two thirds | limit | verdict |\n|---|---|---|---|---|---|---|---|"
)
