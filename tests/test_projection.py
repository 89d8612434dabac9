"""Projections against numpy's own decomposition; sketches and the one basis for all moments."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nbmonitor.parameters.blob import quantise
from nbmonitor.parameters.projection import Projector, principal, procrustes
from nbmonitor.parameters.sketch import directions, one_basis, sketch


def cloud(n: int, d: int, seed: int = 0, spread: tuple[float, ...] = (9, 6, 4)) -> np.ndarray:
    """Rows with three strong directions, and noise in all."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(d, min(d, len(spread)))))[0]
    strong = rng.normal(size=(n, axes.shape[1])) * spread[: axes.shape[1]]
    return (strong @ axes.T + rng.normal(size=(n, d)) * 0.5 + rng.normal(size=d) * 3).astype("f4")


def exact(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along the three first components, and their shares of the variance."""
    centred = rows.astype(float) - rows.astype(float).mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return (u * s)[:, :3], (s**2 / (s**2).sum())[:3]


@pytest.mark.parametrize("d", [16, 128, 129, 400])
def test_a_view_is_the_pca_that_numpy_finds(d: int) -> None:
    rows = cloud(900, d)
    view = Projector().project(rows)
    coordinates, shares = exact(rows)
    assert view.explained == pytest.approx(shares, rel=2e-3)
    turned = view.coordinates @ procrustes(view.coordinates, coordinates)
    assert np.abs(turned - coordinates).max() < 0.02 * np.abs(coordinates).max()
    assert np.allclose(view.basis.T @ view.basis, np.eye(3), atol=1e-4)
    assert np.allclose((rows - view.centre) @ view.basis, view.coordinates, atol=1e-2)


def test_rows_without_a_structure_explain_nearly_what_is_possible() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 300)).astype("f4")
    view = Projector().project(rows)
    assert sum(view.explained) >= 0.85 * exact(rows)[1].sum()


def test_points_do_not_flip_from_one_view_to_the_next() -> None:
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(200, 3)))[0]
    points, noise = rng.normal(size=(600, 3)), rng.normal(size=(600, 200)) * 0.2
    steady, views, free = Projector(), [], []
    for share in np.linspace(0, 1, 12):
        # The last direction becomes the first: by itself, a PCA lets them change places.
        strengths = np.array([6, 4, 2]) * (1 - share) + np.array([2, 4, 6]) * share
        rows = (points * strengths) @ axes.T + noise
        views.append(steady.project(rows))
        free.append(Projector().project(rows).coordinates)
        assert sum(views[-1].explained) == pytest.approx(exact(rows)[1].sum(), rel=1e-3)

    def jumps(found: list[np.ndarray]) -> float:
        return max(np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in pairwise(found))

    assert jumps([view.coordinates for view in views]) < 0.12
    assert jumps(free) > 0.8


def test_procrustes_is_the_best_rotation_or_reflection() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(50, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = procrustes(points, points @ turn)
    assert np.allclose(found, turn, atol=1e-6)
    noisy = points @ turn + rng.normal(size=points.shape) * 0.3
    best = np.linalg.norm(points @ procrustes(points, noisy) - noisy)
    for seed in range(50):
        other = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        assert best <= np.linalg.norm(points @ other - noisy) + 1e-9
    assert np.array_equal(procrustes(points[:0], points[:0]), np.eye(3))


@pytest.mark.parametrize(("n", "d"), [(0, 5), (1, 5), (2, 300), (7, 1), (7, 2), (5, 3), (300, 129)])
def test_few_rows_and_narrow_ones_have_a_view(n: int, d: int) -> None:
    rows = np.random.default_rng(0).normal(size=(n, d)).astype("f4")
    projector = Projector()
    for _ in range(2):
        view = projector.project(rows)
        assert view.coordinates.shape == (n, 3)
        assert np.isfinite(view.coordinates).all()
        assert all(0 <= share <= 1 for share in view.explained)
    if n > 0 and d <= 3:
        assert sum(view.explained) == pytest.approx(1.0, abs=1e-5)


def test_equal_rows_have_a_view_and_explain_nothing() -> None:
    view = Projector().project(np.full((20, 200), 1.5, np.float32))
    assert np.abs(view.coordinates).max() < 1e-4


def test_rows_that_are_not_finite_are_left_out_of_it() -> None:
    rows = cloud(300, 150)
    whole = Projector().project(rows)
    rows[5, 3], rows[7] = np.nan, np.inf
    projector = Projector()
    view = projector.project(rows)
    assert np.isnan(view.coordinates[[5, 7]]).all()
    assert np.isfinite(np.delete(view.coordinates, [5, 7], 0)).all()
    assert view.explained == pytest.approx(whole.explained, abs=0.02)
    assert np.isfinite(projector.project(cloud(300, 150)).coordinates).all()
    nothing = Projector().project(np.full((4, 9), np.nan))
    assert (np.isnan(nothing.coordinates).all(), nothing.explained) == (True, (0.0, 0.0, 0.0))
    assert np.isfinite(Projector().project(rows[:5] * 1e30).coordinates).all()


def test_another_number_of_rows_begins_anew() -> None:
    projector = Projector()
    projector.project(cloud(100, 50))
    assert projector.project(cloud(90, 50)).coordinates.shape == (90, 3)
    assert projector.project(cloud(90, 30)).basis.shape == (30, 3)
    projector.forget()
    again = projector.project(cloud(90, 30))
    assert np.array_equal(again.coordinates, Projector().project(cloud(90, 30)).coordinates)


def test_principal_directions_are_the_same_each_time() -> None:
    rows = cloud(200, 300)
    rows -= rows.mean(0)
    assert np.array_equal(principal(rows), principal(rows))


# ---------------------------------------------------------------------- sketches


def test_directions_are_orthonormal_and_fixed() -> None:
    towards = directions(200)
    assert towards.shape == (200, 32)
    assert np.allclose(towards.T @ towards, np.eye(32), atol=1e-6)
    assert np.array_equal(towards, directions(200))
    assert not np.array_equal(towards, directions(200, seed=1))
    assert directions(8).shape == (8, 8)


def test_a_sketch_of_narrow_rows_keeps_all_distances() -> None:
    rows = cloud(80, 20)
    small = sketch(rows, directions(20))
    for i, j in [(0, 1), (5, 70), (33, 34)]:
        near = np.linalg.norm(rows[i] - rows[j])
        assert np.linalg.norm(small[i] - small[j]) == pytest.approx(near, rel=1e-4)
    rows[3] = np.nan
    assert np.isnan(sketch(rows, directions(20))[3]).all()


def moments(d: int, count: int = 6) -> dict[int, np.ndarray]:
    """Noise at first, and ever more of a structure."""
    rng = np.random.default_rng(3)
    start, end = rng.normal(size=(700, d)).astype("f4"), cloud(700, d, seed=4)
    return {10 * k: start * (1 - k / (count - 1)) + end * k / (count - 1) for k in range(count)}


def test_one_basis_is_exact_where_rows_are_narrow() -> None:
    rows = moments(24)
    towards = directions(24)
    sketches = {step: sketch(values, towards) for step, values in rows.items()}
    last = Projector().project(rows[50])
    found = one_basis(sketches.items(), 50, last.coordinates, sketches[50])
    assert found.fit == pytest.approx(1.0, abs=1e-4)
    for step, values in rows.items():
        true = (values - values.mean(0)) @ last.basis
        assert np.abs(found.views[step] - true).max() < 1e-3 * np.abs(true).max()


def test_one_basis_of_wide_rows_is_an_estimate_that_says_how_good_it_is() -> None:
    rows = moments(300)
    towards = directions(300)
    small = {step: sketch(values, towards) for step, values in rows.items()}
    sketches = {step: quantise(values, "int8", bits=6).values for step, values in small.items()}
    last = Projector().project(rows[50])
    found = one_basis(sketches.items(), 50, last.coordinates, sketches[50])
    assert 0.8 < found.fit < 1
    assert np.array_equal(found.views[50], last.coordinates)
    # Near the end the structure is there, and so is what is told of it.
    true = (rows[40] - rows[40].mean(0)) @ last.basis
    left = np.square(found.views[40] - true).sum() / np.square(true).sum()
    assert left < 1.3 * (1 - found.fit) + 0.05


def test_one_basis_of_nothing_is_nothing() -> None:
    found = one_basis([(1, np.zeros((4, 5)))], 2, np.zeros((4, 3)), np.zeros((4, 5)))
    assert (found.fit, found.views[1].any()) == (0.0, False)
    assert one_basis([(1, np.zeros((3, 5)))], 2, np.zeros((4, 3)), np.zeros((4, 5))).views == {}
