"""The learning rate: zero, or of a size with which nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

KEY = "train/learning_rate"
# The largest that anybody trains with, by what the optimiser's name contains. Optimisers that
# divide by the gradient's size move every weight by about the rate itself.
_MOST = (("sgd", 10.0), ("lion", 0.03), ("adafactor", 1.0), ("adam", 0.1))
_MOST_OF_ANY = 5.0


def most_for(optimizer: str) -> float:
    """Return the limit of an optimiser."""
    return next((most for name, most in _MOST if name in optimizer.lower()), _MOST_OF_ANY)


class LearningRate(Rule):
    """What the schedule sets, against what can be meant."""

    name = "learning_rate"
    keys = (KEY,)
    also = ("update/*/ratio",)
    every = 5
    calm = 2
    zeros = 10
    # A rate that never exceeds this is lost in the rounding of fp32 weights.
    least, least_after = 1e-9, 100
    # Share of a weight's size that a step changes, and readings in a row.
    ratio, readings = 0.2, 5

    def begin(self, seen: Lookback) -> None:
        """Forget the largest rate."""
        del seen
        self._most = 0.0
        self._reading = self._large = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the newest rates."""
        rows = seen.tail(KEY, self.zeros)
        now = float(rows[1, -1])
        self._most = max(self._most, float(rows[1].max()))
        window = (rows[0, 0], rows[0, -1])
        if rows.shape[1] >= self.zeros and not rows[1].any():
            ever = "It has been 0 from the start." if not self._most else ""
            yield self._tell(
                "The learning rate is 0",
                f"It was 0 in each of the last {self.zeros} steps: nothing is learned. {ever}",
                "Stop, or set a rate. Check the schedule's number of steps, and warm-up and decay; "
                "a resumed run may have used its schedule up.",
                ("zero", window, 0.0),
            )
            return
        optimizer = str(seen.config.get("optimizer", ""))
        most = most_for(optimizer)
        if now > most:
            yield self._tell(
                "The learning rate is absurdly high",
                f"It is {now:.3g} at step {window[1]:.0f}; with {optimizer or 'any optimiser'} "
                f"nothing above {most:g} is in use.",
                "Stop and set a usual rate: 1e-5 to 5e-5 for full fine-tuning, 1e-4 to 5e-4 for "
                "LoRA, with Adam.",
                ("high", window, now),
            )
        elif seen.rows(KEY) >= self.least_after and 0 < self._most < self.least:
            yield self._tell(
                "The learning rate is absurdly low",
                f"It was {self._most:.3g} at most in {seen.rows(KEY)} steps: less than weights "
                "in fp32 can take up.",
                "Check the unit and the schedule; 1e-5 to 5e-4 is usual with Adam.",
                ("low", window, self._most),
            )
        yield from self._updates(seen)

    def _updates(self, seen: Lookback) -> Iterator[Finding]:
        tracks = [seen.tracks[key] for key in seen.matching("update/*/ratio")]
        if not tracks:
            return
        step = max(track.last[0] for track in tracks)
        if step != self._reading:
            self._reading = step
            rows = [seen.last(key) for key in seen.matching("update/*/ratio")]
            middle = sorted(value for value in rows if value is not None)[len(rows) // 2]
            self._large = self._large + 1 if middle > self.ratio else 0
            self._middle = middle
        if self._large >= self.readings:
            yield self._tell(
                "Steps are too large for the weights",
                f"Half of the layer groups change by more than {100 * self._middle:.0f} % of "
                f"their size in a single step, {self._large} readings in a row; 0.1 % is healthy.",
                "Lower the learning rate ten- to hundredfold.",
                ("update", (step, seen.step), self._middle),
            )

    def _tell(
        self,
        title: str,
        message: str,
        action: str,
        what: tuple[str, tuple[float, float], float],
    ) -> Finding:
        kind, window, value = what
        return self.finding(
            title,
            message.strip(),
            action,
            severity="critical" if kind in {"zero", "high"} else "warning",
            id=f"learning_rate_{kind}",
            key=KEY,
            panel="updates" if kind == "update" else "learning_rate",
            window=window,
            confidence=1.0,
            value=value,
        )


RULES = (LearningRate,)
