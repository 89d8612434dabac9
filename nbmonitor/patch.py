"""Wrap a method of one instance and be able to undo it exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class Patches:
    """A list of things done to other people's objects, undone in reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def wrap(self, target: Any, name: str, wrapper: Callable[..., Any]) -> bool:
        """Let `wrapper(original, *args, **kwargs)` answer for a method of `target`.

        Returns whether `target` has such a method.
        """
        original = getattr(target, name, None)
        if not callable(original):
            return False

        live = True

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs) if live else original(*args, **kwargs)

        own = name in vars(target)
        setattr(target, name, wrapped)

        def undo() -> None:
            nonlocal live
            live = False
            # Somebody may have wrapped us in turn: then theirs stays and ours only passes on.
            if vars(target).get(name) is wrapped:
                if own:
                    setattr(target, name, original)
                else:
                    delattr(target, name)

        self._undo.append(undo)
        return True

    def add(self, undo: Callable[[], Any]) -> None:
        """Remember how to take something else back."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Take everything back; a second call does nothing."""
        while self._undo:
            self._undo.pop()()
