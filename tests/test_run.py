"""The record: rows in, tables and packed history out, within bounded memory."""

import threading

import numpy as np
import pytest

from nbmonitor import Run, Series, wire


def test_history_has_one_row_a_step_and_nan_where_nothing_was_logged():
    run = Run()
    run.append(1, {"train/loss": 2.0})
    run.append(2, {"train/loss": 1.0, "eval/loss": 1.5})
    run.append(2, {"host/cpu": 30.0})
    run.append(2, {"host/cpu": 40.0})

    table = run.history()

    assert table["step"].tolist() == [1, 2]
    assert table["train/loss"].tolist() == [2.0, 1.0]
    assert np.isnan(table["eval/loss"][0])
    assert table["host/cpu"].tolist()[1] == 40.0
    assert run.history(["train/loss"]).columns.tolist() == ["step", "train/loss"]


def test_an_empty_run_gives_an_empty_table_with_a_step_column():
    assert Run().history().columns.tolist() == ["step"]


def test_asking_for_an_unknown_series_names_the_known_ones():
    run = Run()
    run.append(1, {"train/loss": 2.0})
    with pytest.raises(KeyError, match="train/loss"):
        run.points("train/los")


def test_undeclared_values_are_kept_exactly_and_counters_do_not_lose_units():
    run = Run()
    run.declare([Series("tokens/seen", dtype="float64"), Series("train/loss")])
    run.append(1, {"mine": 0.1, "tokens/seen": 2.0**24 + 1})

    assert run.last("mine") == 0.1
    assert run.last("tokens/seen") == 2**24 + 1


def test_a_logged_nan_is_told_apart_from_a_missing_value_by_an_event():
    run = Run()
    run.append(3, {"train/loss": float("nan")})
    run.append(4, {"train/grad_norm": float("inf")})

    events = run.events("nonfinite")

    assert [(e["step"], e["data"]["key"], e["data"]["value"]) for e in events] == [
        (3, "train/loss", "nan"),
        (4, "train/grad_norm", "inf"),
    ]


def test_a_hundred_thousand_nans_do_not_make_a_hundred_thousand_events():
    run = Run()
    for step in range(1000):
        run.append(step, {"train/loss": float("nan")})
    assert len(run.events("nonfinite")) == 200
    assert "no longer listed" in run.events("nonfinite")[-1]["data"]["message"]


def test_memory_is_bounded_and_the_newest_rows_stay_exact():
    run = Run(memory=200_000)
    for step in range(60_000):
        run.append(step, {"a": float(step), "b": 1000.0 if step == 5 else 0.0})

    assert run.nbytes < 200_000 + 2 * 4096 * 16 * 2
    table = run.history()
    assert table["a"].iloc[-1] == 59_999
    assert table.attrs["summary_rows"]["b"] > 0
    assert run.summary()["series"]["b"]["max"] == 1000.0


def test_packed_history_covers_every_row_within_its_budget_and_keeps_a_spike():
    run = Run()
    for step in range(100_000):
        run.append(step, {"train/loss": 50.0 if step == 33_333 else 1.0, "eval": float(step)})

    packed = run.pack(budget=60_000)
    header, rows = wire.unpack_history(packed)

    assert len(packed) < 75_000
    assert [s["key"] for s in header["declare"]] == ["train/loss", "eval"]
    for series in (0, 1):
        parts = [r for r in rows if r.id == series]
        at = 0
        for part in parts:
            assert part.offset == at
            at += part.covered
        assert at == 100_000
        assert parts[-1].counts is None
    assert max(r.values[1].max() for r in rows if r.id == 0 and r.counts is not None) == 50.0


def test_rows_since_tells_exactly_what_a_page_lacks():
    run = Run()
    for step in range(100):
        run.append(step, {"a": float(step)})
    run.append(100, {"b": 1.0})

    missing = {r.id: r for r in run.rows_since({0: 97})}

    assert missing[0].offset == 97
    assert missing[0].values.tolist() == [97.0, 98.0, 99.0]
    assert missing[1].values.tolist() == [1.0]
    assert run.rows_since(run.row_counts()) == []


def test_rows_since_covers_folded_rows_too():
    run = Run(memory=100_000)
    for step in range(40_000):
        run.append(step, {"a": float(step)})
    for have in (0, 100, 5000, 39_990):
        parts = run.rows_since({0: have})
        assert parts[0].offset <= have
        assert parts[0].offset + sum(p.covered for p in parts) == 40_000


def test_rewind_cuts_back_and_starts_a_new_generation():
    run = Run()
    for step in range(1, 11):
        run.append(step, {"train/loss": float(step)})

    dropped = run.rewind(6)
    run.append(7, {"train/loss": 0.5})

    assert dropped == 4
    assert run.generation == 1
    assert run.history()["train/loss"].tolist() == [1, 2, 3, 4, 5, 6, 0.5]


def test_restart_puts_the_old_record_aside_unharmed():
    run = Run("mine")
    run.append(5, {"train/loss": 1.0})
    run.set_status("running")
    run.set_status("finished")

    past = run.restart()
    run.append(1, {"train/loss": 9.0})

    assert past.history()["train/loss"].tolist() == [1.0]
    assert past.status == "finished"
    assert run.history()["train/loss"].tolist() == [9.0]
    assert run.status == "waiting"
    assert run.config["name"] == "mine"


def test_a_late_row_of_an_earlier_step_keeps_the_axis_ascending():
    run = Run()
    run.append(10, {"a": 1.0})
    run.append(9, {"a": 2.0})
    x, _ = run.points("a")
    assert np.all(np.diff(x) >= 0)


def test_an_unknown_status_names_the_allowed_ones():
    with pytest.raises(ValueError, match="waiting, running"):
        Run().set_status("done")


def test_summary_says_where_the_run_stands():
    run = Run()
    run.total_steps = 10
    run.set_status("running")
    run.append(4, {"train/loss": 3.0})
    run.append(5, {"train/loss": 1.0})

    got = run.summary()

    assert (got["status"], got["step"], got["total_steps"]) == ("running", 5, 10)
    assert got["series"]["train/loss"] == {
        "last": 1.0,
        "step": 5,
        "min": 1.0,
        "max": 3.0,
        "rows": 2,
        "unit": "",
    }
    assert got["seconds"] >= 0


def test_writers_and_readers_of_many_threads_lose_nothing():
    run = Run()

    def write(key):
        for step in range(3000):
            run.append(step, {key: float(step)})

    writers = [threading.Thread(target=write, args=(f"k{n}",)) for n in range(4)]
    for thread in writers:
        thread.start()
    while any(t.is_alive() for t in writers):
        run.pack()
        run.summary()
    for thread in writers:
        thread.join()

    assert all(run.points(f"k{n}")[1].tolist() == list(range(3000)) for n in range(4))


def test_to_csv_writes_the_table(tmp_path):
    run = Run()
    run.append(1, {"train/loss": 2.5})
    run.to_csv(tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text().splitlines() == ["step,train/loss", "1,2.5"]


def test_a_packed_run_takes_small_tensors_along() -> None:
    run = Run()
    run.append(3, {"a": 1.0})
    bins = np.arange(30, dtype=np.float32).reshape(3, 10)
    run.put("fixed_eval/reliability", 3, bins, {"ece": 0.25})
    run.put("large/array", 3, np.zeros(20_000, np.float32))
    run.put("large/meta", 3, np.zeros(0, np.uint8), {"text": "x" * 70_000})
    run.put("no/json", 3, np.zeros(0, np.uint8), {"value": {1, 2}})
    ((put, array),) = wire.unpack_tensors(run.pack())
    assert (put["key"], put["step"], put["meta"]) == ("fixed_eval/reliability", 3, {"ece": 0.25})
    np.testing.assert_array_equal(array, bins)
    assert wire.unpack_tensors(run.pack(tensors=False)) == []


def test_what_json_cannot_say_does_not_keep_a_tensor_from_a_history() -> None:
    run = Run()
    nan, inf = float("nan"), float("inf")
    given = {"rise": inf, "rows": [{"losses": [1.5, nan]}, {"losses": (2.0,)}], "text": "nan"}
    run.put("insight/spikes", 3, np.zeros(0, np.uint8), given)
    sound = {"ece": 0.25, "losses": [1.0, 2.0]}
    run.put("fixed_eval/state", 3, np.zeros(0, np.uint8), sound)
    puts = {put["key"]: put["meta"] for put, _ in wire.unpack_tensors(run.pack())}
    assert puts["insight/spikes"] == {
        "rise": None, "rows": [{"losses": [1.5, None]}, {"losses": [2.0]}], "text": "nan",
    }  # fmt: skip
    assert given["rise"] == inf  # what was given stays as it is
    kept = run.tensor("fixed_eval/state")
    assert kept is not None
    assert kept[3] is sound  # and without a reason nothing is copied


def test_tensors_do_not_crowd_out_the_rows() -> None:
    run = Run()
    run.extend([(n, {"a": float(n)}, 0.0) for n in range(20_000)])
    for n in range(8):
        run.put(f"tensor/{n}", 1, np.zeros(15_000, np.float32))
    packed = run.pack()
    assert len(wire.unpack_tensors(packed)) == 2
    assert len(packed) < 390_000
    assert sum(rows.covered for rows in wire.unpack_history(packed)[1]) == 20_000
