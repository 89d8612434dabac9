"""A Run's series as a pandas table. The only importer of pandas, and only when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Points = tuple[NDArray[np.float64], NDArray[Any]]


def frame(series: Mapping[str, Points]) -> pd.DataFrame:
    """Lay series side by side by step.

    Parameters
    ----------
    series
        Key to (steps (n,), values (n,)), steps ascending, a step may repeat.

    Returns
    -------
    pandas.DataFrame
        Column `step` (int64), ascending and unique, then one column a key, NaN where
        nothing was logged. Of several values at one step the last is taken.
    """
    import pandas as pd

    filled = {key: points for key, points in series.items() if len(points[0])}
    steps = np.unique(np.concatenate([x for x, _ in filled.values()])) if filled else np.empty(0)
    columns: dict[str, NDArray[Any]] = {"step": steps.astype(np.int64)}
    for key in series:
        column = np.full(len(steps), np.nan)
        if key in filled:
            x, values = filled[key]
            column[np.searchsorted(steps, x)] = values
        columns[key] = column
    return pd.DataFrame(columns)


def records(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Lay records out as a table of these columns, empty where a record has nothing."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))


def moments(seconds: Any) -> Any:
    """Seconds since the epoch as times in UTC, NaT where there are none."""
    import pandas as pd

    return pd.to_datetime(pd.to_numeric(seconds), unit="s", utc=True)
