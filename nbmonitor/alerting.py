"""`alert`: what the user's own code has to say, among what the rules find."""

from __future__ import annotations

from nbmonitor.rule import SEVERITIES
from nbmonitor.run import Run


class Alerting:
    """Mixed into what has a `_run`."""

    _run: Run

    def alert(self, title: str, text: str = "", level: str = "warning") -> None:
        """Raise an alert of your own: shown, recorded, marked on the charts, told to `on_alert`.

        Parameters
        ----------
        title
            A few words. An alert of the same title stands in place of the one before.
        text
            What was measured, or what to do.
        level
            "info", "warning" or "critical".

        Raises
        ------
        ValueError
            If `level` is none of the three.
        """
        if level not in SEVERITIES:
            msg = f"level {level!r} given; one of {', '.join(SEVERITIES)} is allowed"
            raise ValueError(msg)
        run = self._run
        data = {
            "id": f"user/{title}",
            "rule": "user",
            "severity": level,
            "state": "raised",
            "title": str(title),
            "message": str(text),
            "action": "",
            "key": None,
            "panel": None,
            "window": [run.step, run.step],
            "confidence": None,
            "value": None,
        }
        run.event("alert", None, data)
