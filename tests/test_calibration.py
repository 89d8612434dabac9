"""Cross-entropy, entropy, confidence and calibration against plain formulas in float64."""

import math

import numpy as np
import pytest
import torch

from nbmonitor.calibration import BINS, baseline, drift, expected_error, reliability
from nbmonitor.capture.scoring import Sums, chunk_rows


def reference(logits, targets):
    """Means and bins of the textbook, one row after the other."""
    out = {"loss": 0.0, "entropy": 0.0, "hits": 0}
    bins = np.zeros((3, BINS))
    for row, target in zip(np.asarray(logits, np.float64), targets, strict=True):
        top = row.max()
        powers = np.exp(row - top)
        p = powers / powers.sum()
        out["loss"] += math.log(powers.sum()) + top - row[target]
        out["entropy"] += -sum(x * math.log(x) for x in p if x > 0)
        hit = int(np.argmax(row)) == target
        out["hits"] += hit
        at = min(int(p.max() * BINS), BINS - 1)
        bins[:, at] += (1, p.max(), hit)
    return out, bins


def scored(logits, targets, chunk=7):
    sums = Sums(torch.device("cpu"))
    logits, targets = torch.tensor(logits, dtype=torch.float32), torch.tensor(targets)
    order = torch.arange(len(targets))
    scores = [
        sums.add(logits[at : at + chunk].clone(), targets[at : at + chunk], order[at : at + chunk])
        for at in range(0, len(targets), chunk)
    ]
    return sums, [torch.cat(parts) for parts in zip(*scores, strict=True)]


@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0, 300.0])
@pytest.mark.parametrize("classes", [1, 2, 50])
def test_sums_are_those_of_the_textbook(scale, classes):
    chance = np.random.default_rng(int(scale * 10) + classes)
    logits = (chance.normal(size=(200, classes)) * scale).astype(np.float32)
    targets = chance.integers(0, classes, 200)
    sums, (_, hit, lead, top, choice) = scored(logits, targets)
    expected, bins = reference(logits, targets)
    count, loss, hits, entropy = sums.totals.tolist()
    assert (count, hits) == (200, expected["hits"])
    assert loss == pytest.approx(expected["loss"], rel=1e-6, abs=1e-5)
    assert entropy == pytest.approx(expected["entropy"], rel=1e-5, abs=1e-4)
    assert sums.bins.numpy() == pytest.approx(bins, rel=1e-5, abs=1e-5)
    assert choice.tolist() == logits.argmax(1).tolist()
    assert top.tolist() == logits.max(1).tolist()
    for row, target, right, by in zip(logits, targets, hit, lead, strict=True):
        rest = np.delete(row, target)
        best = rest.max() if len(rest) else -np.inf
        assert bool(right) == (row.argmax() == target)
        assert float(by) == pytest.approx(float(row[target]) - best, rel=1e-6)


def test_minus_infinity_is_no_probability_and_no_nan():
    inf = -np.inf
    logits = [[0.0, inf, inf, inf], [1.0, 1.0, inf, inf], [inf, 2.0, 0.0, inf]]
    sums, (loss, hit, *_) = scored(logits, [0, 1, 2])
    count, total, hits, entropy = sums.totals.tolist()
    assert loss.tolist() == pytest.approx([0, math.log(2), 2 + math.log1p(math.exp(-2))])
    expected, bins = reference(logits, [0, 1, 2])
    assert (count, hits) == (3, 1)  # of the tie, the first one is the choice
    assert total == pytest.approx(expected["loss"])
    assert entropy == pytest.approx(expected["entropy"], rel=1e-6)
    assert sums.bins.numpy() == pytest.approx(bins)
    assert not hit[1]


def test_an_impossible_answer_costs_infinitely_much_and_nan_stays_nan():
    sums, (loss, *_) = scored([[0.0, -np.inf], [np.nan, 1.0]], [1, 1])
    assert loss[0] == math.inf
    assert math.isnan(loss[1])
    assert math.isnan(sums.totals[1])


def test_ties_lead_by_nothing():
    _, (_, hit, lead, *_) = scored([[3.0, 3.0, 1.0], [3.0, 3.0, 1.0]], [0, 1])
    assert hit.tolist() == [True, False]
    assert lead.tolist() == [0, 0]


def test_bins_are_closed_on_the_left():
    # Confidences of exactly 1/2 and 1.
    sums, _ = scored([[0.0, 0.0], [0.0, -np.inf]], [0, 0])
    assert sums.bins[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_expected_error_and_reliability():
    bins = np.zeros((3, BINS))
    bins[:, 8] = (10, 8.5, 5)
    bins[:, 3] = (30, 10.5, 15)
    assert expected_error(bins) == pytest.approx(10 / 40 * 0.35 + 30 / 40 * 0.15)
    drawn = reliability(bins)
    assert drawn[:, 8].tolist() == pytest.approx([10, 0.85, 0.5])
    assert drawn[0, 0] == 0
    assert np.isnan(drawn[1:, 0]).all()
    assert math.isnan(expected_error(np.zeros((3, BINS))))


def test_a_perfectly_calibrated_source_has_no_error():
    chance = np.random.default_rng(0)
    p = chance.uniform(0.5, 1, 20_000)
    logits = np.stack([np.log(p), np.log1p(-p)], 1)
    targets = (chance.uniform(size=len(p)) > p).astype(int)
    sums, _ = scored(logits, targets, 4096)
    assert expected_error(sums.bins.numpy()) < 0.02
    wrong, _ = scored(logits * 4, targets, 4096)
    assert expected_error(wrong.bins.numpy()) > 0.1


def drifted(history, predictions, part=1.0):
    """Drift of the last of (cross-entropy, ECE), a hundred steps apart."""
    steps = [(100 * (i + 1), *each) for i, each in enumerate(history)]
    return drift(history[-1][1], baseline(steps), predictions, part)


def test_drift_is_a_rise_over_the_best_of_those_that_predicted_as_well():
    learning = [(4.0, 0.001), (2.0, 0.05), (1.0, 0.06)]
    assert drifted(learning, 10_000) is None  # who knows nothing is calibrated
    found = drifted([*learning, (0.99, 0.09)], 10_000)
    assert found == {"rise": pytest.approx(0.5), "best_ece": 0.06, "best_step": 300}
    assert drifted([*learning, (0.99, 0.071)], 10_000) is None  # 18 %
    assert drifted([*learning, (0.99, 0.071)], 10_000, part=0.5) is not None  # one that stands
    assert drifted([*learning, (0.99, 0.09)], 300) is None  # chance makes that of 300
    assert drifted([*learning, (0.99, 0.09)], None) is not None  # of how many is not known
    assert drifted([(1.0, 0.001), (1.0, 0.002)], 10**6) is None  # twice nothing
    assert drifted([(1.0, 0.1)], 100) is None
    assert drifted([(1.0, 0.1), (math.nan, 0.4)], 10_000) is None
    assert drifted([(1.0, 0.1), (0.9, 0.1), (None, 0.4)], 10_000) is None
    overfit = [(1.0, 0.06), (1.2, 0.1), (1.6, 0.2)]
    assert drifted(overfit, 10_000)["best_ece"] == 0.06
    assert drifted([(1.0, 0.0), (1.0, 0.2)], 10_000)["rise"] is None  # of nothing, no share


def test_a_chunk_holds_a_row_of_any_vocabulary():
    assert chunk_rows(10**9) == 1
    assert chunk_rows(50_257) * 50_257 * 4 <= 8 << 20
    assert chunk_rows(1000, on_cpu=False) > chunk_rows(1000)
