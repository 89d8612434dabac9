"""Two runs side by side: what a cell is given, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from recording import Recorded

from nbmonitor import TrainingMonitor, kernel, open_run, side_by_side


@pytest.fixture
def two() -> Any:
    monitors = [TrainingMonitor(run_dir=False, name=name) for name in ("one", "other")]
    yield monitors
    for monitor in monitors:
        monitor.close()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    calls: list[tuple[dict, dict]] = []
    monkeypatch.setattr(kernel, "publish", lambda data, *_, **how: calls.append((data, how)))
    return calls


def test_both_are_in_one_element_that_the_page_knows(two) -> None:
    made = side_by_side(*two)
    assert list(made.children) == two
    assert "nbmonitor-pair" in made.get_state()["_dom_classes"]
    assert made.get_state()["children"] == [f"IPY_MODEL_{m.model_id}" for m in two]


def test_a_cell_shows_both_and_a_picture_of_each(two, shown) -> None:
    side_by_side(*two)._ipython_display_()
    live, *pictures = shown
    assert "application/vnd.jupyter.widget-view+json" in live[0]
    assert all(name in live[0]["text/plain"] for name in ("one", "other"))
    assert [how["display_id"] for _, how in pictures] == [m.picture_id for m in two]
    # From now on they are kept up to date, as of a monitor that is shown alone.
    del shown[:]
    two[1]._refresh_picture()
    assert [how for _, how in shown] == [{"display_id": two[1].picture_id, "update": True}]


def test_nothing_is_shown_where_no_run_is(two, shown, monkeypatch) -> None:
    for monitor in two:
        monkeypatch.setattr(monitor, "_bound", None)
    side_by_side(*two)._ipython_display_()
    assert shown == []


def test_a_monitor_beside_a_recorded_run(two, tmp_path) -> None:
    recorded = Recorded(tmp_path)
    recorded.recorder.close()
    view = open_run(recorded.path)
    made = side_by_side(two[0], view)
    assert made.children[1] is view
    made.close()
    assert view.comm is not None
    assert two[0].comm is not None
    view.close()


def test_what_is_no_run_is_refused(two) -> None:
    with pytest.raises(TypeError, match=r"str given; .* open_run\(path\)"):
        side_by_side(two[0], "out/nbmonitor")
    with pytest.raises(ValueError, match="twice"):
        side_by_side(two[0], two[1], two[0])
