"""In which phase a training is, by change-point statistics on its loss and the weights' motion.

Losses are gathered into blocks (medians of five; pairs are joined as the run grows, so that 64
of them describe all since the last change). Within the current stretch a break of the trend is
looked for with the sup-Wald statistic; where there is one, the stretch begins anew there. The
slope of what is left says the phase, measured by the run itself: how fast the loss falls now,
as a share of its average fall per step so far. A flat stretch is *convergence* where the
weights (or, unmeasured, the learning rate) have come to rest too, and a *plateau* otherwise.
Where too few losses are measured for that, the phase follows the number of steps, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nbmonitor.changes import Line, Numbers, broken, jitter, line, median
from nbmonitor.lookback import Lookback
from nbmonitor.overfit import Generalisation, Turn

LOSS, RATE, HELD = "train/loss", "train/learning_rate", ("eval/loss", "fixed_eval/cross_entropy")
_BLOCK, _BLOCKS, _LEAST = 5, 64, 8
# Twice the 1 % critical value of a single look: looks are repeated.
_BROKEN = 31.0
# Standard errors of a slope that is one; share of the average fall that is still rapid (more to
# become so again), and that is still a fall at all.
_SURE, _CLEARLY, _RAPID, _AGAIN, _FALLING = 3.0, 5.0, 0.4, 0.7, 0.02
# …where it was flat.
_FALLING_AGAIN = 0.06
# A stretch is flat when its slope, with two standard errors, is surely less than this share.
_SLIGHT = 0.15
# Share of their largest motion at which weights have come to rest.
_RESTED = 0.3
# Share of the first loss at which nothing is left to learn.
_NOTHING = 0.02
# A stretch is called flat when it is this long: in steps, and as a share of the run so far.
_FLAT, _FLAT_SHARE = 60, 0.15
# Steps, and share of the run, without any fall after which a training is stuck.
_STUCK, _STUCK_SHARE = 300, 0.1
# Share of the steps so far after which a break no longer tells where a new phase begins.
_STALE = 0.25
# A phase lasts at least this share of the steps so far before calmer ones replace it.
_LASTS = 0.05
_Judged = tuple[str, str, float | None]
_BY_STEPS = ((100, "initialization"), (1000, "rapid learning"), (5000, "fine tuning"))


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase, the step it begins at, and why it is taken to be one."""

    name: str
    start: int
    message: str
    confidence: float | None


class Phases:
    """The phases of one run."""

    keys: ClassVar[tuple[str, ...]] = (LOSS,)
    also: ClassVar[tuple[str, ...]] = (RATE, *HELD, "update/*/ratio", "lora/*/*/*/drift")
    every = 20

    def __init__(self) -> None:
        self.begin("")

    def begin(self, name: str) -> None:
        """Start over; `name` is the phase that an earlier part of the run was in."""
        self._name, self._start = name, -1
        self._candidate = name
        self._taken = 0
        self._rest: Numbers = np.empty((2, 0))
        self._x: list[float] = []
        self._y: list[float] = []
        self._size = _BLOCK
        self._first: tuple[float, float] | None = None
        self._best = np.inf
        self._noise = 0.0
        self._change = -1
        self._gap, self._held, self._turned = Generalisation(), 0, 0
        self._peak_rate = self._peak_motion = 0.0
        self._motion_at: tuple[int, float] | None = None
        self._motion: float | None = None

    def look(self, seen: Lookback) -> Phase | None:
        """Take in what is new; return the phase when it has changed."""
        self._take(seen)
        name, message, confidence = self._judge(seen)
        if name == self._name:
            self._candidate = name
            # Decided, long after the last break: that has brought no other phase.
            if message and seen.step - self._change > max(160, _STALE * seen.step):
                self._change = -1
            return None
        # Seen twice, or there is none yet.
        if name != self._candidate and self._name:
            self._candidate = name
            return None
        lasts = max(2 * self.every, _LASTS * seen.step)
        urgent = name in {"divergence", "overfitting"} or not self._name
        if not urgent and seen.step - self._start < lasts:
            return None
        self._candidate = name
        began = self._change if self._change > self._start else seen.step - self.every
        if name == "overfitting":
            began = self._turned
        start = max(0 if not self._name else self._start + 1, min(began, seen.step))
        start = start if self._name else 0
        self._name, self._start = name, start
        return Phase(name, start, message, confidence)

    # ------------------------------------------------------------------ what is measured

    def _take(self, seen: Lookback) -> None:
        rows = seen.rows(LOSS)
        fresh = seen.tail(LOSS, rows - self._taken)[:2]
        self._taken = rows
        fresh = np.concatenate([self._rest, fresh[:, np.isfinite(fresh[1])]], axis=1)
        whole = fresh.shape[1] // self._size * self._size
        self._rest = fresh[:, whole:]
        if whole:
            blocks = fresh[:, :whole].reshape(2, -1, self._size)  # (2, blocks, size)
            self._x += blocks[0, :, -1].tolist()
            self._y += np.median(blocks[1], axis=1).tolist()
            if self._first is None and len(self._y) >= 2:
                self._first = (float(fresh[0, 0]), max(self._y[0], self._y[1]))
            if len(self._y) >= 4:
                self._best = min(self._best, float(np.mean(self._y[-4:])))
        self._break()
        self._watch_motion(seen)
        self._watch_held_out(seen)

    def _break(self) -> None:
        """Begin the stretch anew where its trend is broken; keep it short."""
        x, y = np.array(self._x), np.array(self._y)
        index, statistic = broken(x, y)
        if statistic > _BROKEN:
            self._change = int(self._x[index])
            del self._x[:index], self._y[:index]
        while len(self._x) > _BLOCKS:
            even = len(self._x) // 2 * 2
            self._y = np.array(self._y[-even:]).reshape(-1, 2).mean(axis=1).tolist()
            self._x = self._x[-even:][1::2]
            self._size *= 2

    def _watch_motion(self, seen: Lookback) -> None:
        rate = seen.last(RATE)
        if rate is not None:
            self._peak_rate = max(self._peak_rate, rate)
        ratios = [seen.last(key) for key in seen.matching("update/*/ratio")]
        motion: float | None = None
        if ratios:
            motion = median(np.array([r for r in ratios if r is not None]))
        else:
            motion = self._drift(seen)
        # The first readings are of weights that may have begun at zero.
        if motion is not None and np.isfinite(motion) and seen.step > 2 * self.every:
            self._motion = motion
            self._peak_motion = max(self._peak_motion, motion)

    def _drift(self, seen: Lookback) -> float | None:
        """How far adapters have moved per step since the reading before."""
        keys = seen.matching("lora/*/*/*/drift")
        if not keys:
            return None
        step = seen.tracks[keys[0]].last[0]
        if self._motion_at is not None and step == self._motion_at[0]:
            return self._motion
        total = float(np.sqrt(sum((seen.last(key) or 0.0) ** 2 for key in keys)))
        before, self._motion_at = self._motion_at, (step, total)
        if before is None:
            return None
        return abs(total - before[1]) / (step - before[0])

    def _watch_held_out(self, seen: Lookback) -> None:
        key = next((key for key in HELD if seen.rows(key)), "")
        if key and seen.rows(key) > self._held:
            self._held = seen.rows(key)
            step, value, _ = seen.tracks[key].last
            if np.isfinite(value):
                self._gap.add(step, value, seen.finite(LOSS, 100)[1])

    # ------------------------------------------------------------------ what it means

    def _judge(self, seen: Lookback) -> _Judged:  # noqa: PLR0911 - one return a phase
        if self._first is None or len(self._y) < _LEAST:
            few = seen.rows(LOSS) < _LEAST * _BLOCK
            return self._by_steps(seen) if few or not self._name else self._stay()
        turn = self._gap.turn(standing=self._name == "overfitting")
        if turn is not None:
            self._turned = turn.best_step
            return "overfitting", _overfits(turn), turn.confidence
        x, y = np.array(self._x), np.array(self._y)
        began, high = self._first
        trend = line(x[-24:], y[-24:])
        # Of blocks as they are now or, larger, as they were when the best was found.
        noise = self._noise = (
            max(jitter(y), 1e-12) if not self._noise else max(jitter(y), 0.98 * self._noise)
        )
        descent = high - self._best
        level = median(y[-4:])
        rise = level - self._best
        wide = min(len(self._y), 24)
        sure = 1 - 2 / wide if abs(trend.t) < _SURE else 1 - float(np.exp(-abs(trend.t) / 2))
        if rise > max(0.5 * max(descent, 0.0), 6 * noise, 0.05 * abs(self._best)):
            text = f"the loss is at {level:.4g}, {rise:.3g} above its best ({self._best:.4g})"
            return "divergence", f"{text}: what was learned is being lost", sure
        if descent < max(3 * noise, 1e-3 * abs(high)) and trend.t > -_SURE:
            fall = line(x, y)
            if fall.t > -_CLEARLY:
                return self._without_descent(seen, fall, began, noise)
            descent = max(descent, fall.start - fall.end)
        descent = max(descent, noise)
        speed = -trend.slope * (float(x[-1]) - began) / descent
        falls = trend.t < -_SURE and speed > _FALLING
        if self._name in {"convergence", "plateau"}:
            falls = trend.t < -_CLEARLY and speed > _FALLING_AGAIN
        told = (
            f"the loss falls at {100 * max(speed, 0):.0f} % of its average pace so far "
            f"({trend.slope:.2g} a step since step {int(x[-wide])}, now {level:.4g})"
        )
        rapid = _RAPID if self._name in {"initialization", "rapid learning"} else _AGAIN
        if falls and speed > rapid:
            return "rapid learning", f"{told}: the model takes up the main patterns", sure
        if falls:
            return "fine tuning", f"{told}: details are refined", sure
        most = (2 * trend.error - trend.slope) * (float(x[-1]) - began) / descent
        return self._flat(seen, trend, level, high) if most < _SLIGHT else self._stay()

    def _flat(self, seen: Lookback, trend: Line, level: float, high: float) -> _Judged:
        span = self._x[-1] - max(self._x[0], self._x[-min(len(self._x), 24)])
        if span < max(_FLAT, _FLAT_SHARE * (seen.step - (self._first or (0, 0))[0])):
            return self._stay()
        told = f"the loss is flat at {level:.4g} ({trend.slope:.2g} ± {trend.error:.1g} a step)"
        if 0 <= level < _NOTHING * high:
            return "convergence", f"{told}, and next to nothing is left of it", None
        if self._peak_motion:
            moved, what = (self._motion or 0.0) / self._peak_motion, "weights move"
        elif self._peak_rate:
            moved, what = (seen.last(RATE) or 0.0) / self._peak_rate, "learning rate stands"
        else:
            return "convergence", f"{told}; the weights' motion is not measured", None
        share = f"{what} at {100 * moved:.0f} % of the most"
        if moved < _RESTED:
            return "convergence", f"{told}, and the {share}: it settles", None
        text = f"{told}, while the {share}: nothing is gained at this rate"
        return "plateau", text, None

    def _without_descent(self, seen: Lookback, fall: Line, began: float, noise: float) -> _Judged:
        if seen.step - began < max(_STUCK, _STUCK_SHARE * seen.total_steps):
            text = f"the loss ({fall.end:.4g}) has not begun to fall: weights and optimiser warm up"
            return "initialization", text, None
        most = (2 * fall.error - fall.slope) * (self._x[-1] - self._x[0])
        if most > max(1.2 * noise, 0.02 * abs(fall.start)):
            return self._by_steps(seen)
        text = f"in {seen.step - began:.0f} steps the loss ({fall.end:.4g}) has not fallen"
        return "plateau", f"{text} by more than {max(most, 0):.2g}: nothing is learned", None

    def _by_steps(self, seen: Lookback) -> _Judged:
        name = next((name for most, name in _BY_STEPS if seen.step < most), "convergence")
        if self._name:
            order = [name for _, name in _BY_STEPS]
            if name in order and self._name not in order[: order.index(name)]:
                return self._stay()
        few = self._first is None or len(self._y) < _LEAST
        why = f"{seen.rows(LOSS)} losses are too few" if few else "the loss is too noisy"
        text = f"by the number of steps alone: {why} for more"
        return name, text, None

    def _stay(self) -> _Judged:
        """Leave it undecided."""
        return self._name or "initialization", "" if self._name else "the first steps", None


def _overfits(turn: Turn) -> str:
    return (
        f"the held-out loss rose from {turn.best:.4g} (step {turn.best_step}) to {turn.now:.4g} "
        f"while the training loss fell to {turn.train_now:.4g}"
    )
