"""Sampled units of real models against numpy, and what came of them since the start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from parameter_truth import make, step
from test_parameters_moment import ARCHITECTURES, Watch
from tiny import tiny_model
from torch import nn

from nbmonitor.parameters import rows as rows_module
from nbmonitor.parameters import units as units_module
from nbmonitor.parameters.change import COLUMNS
from nbmonitor.parameters.moment import read
from nbmonitor.parameters.plan import Options, Plan
from nbmonitor.parameters.similarity import linear_cka
from nbmonitor.parameters.since import Since
from nbmonitor.parameters.units import Grid, Layout, Sampler


def outputs(matrix, model):
    """All units of a weight, (units, inputs): what each output weighs its inputs with."""
    x = dict(model.named_parameters())[matrix.name].detach().float().numpy()
    owner = dict(model.named_modules())[matrix.module]
    if type(owner).__name__ == "Conv1D":
        return x.T
    if type(owner).__name__.endswith("Experts"):
        return x.reshape(-1, x.shape[-1])
    return x.reshape(len(x), -1)


def sampled(grid):
    """Which units and inputs a grid says that it takes."""
    count = grid.shape[0] * grid.shape[1]
    return [grid.number(place) for place in range(count)], list(grid.inputs)


def looked(model, plan, since, at):
    reading = read(model, plan, sampler=since.sampler).host()
    if since.step is None:
        since.begin(at, reading)
    return reading, *since.tell(at, reading)


@pytest.mark.parametrize("kind", [*ARCHITECTURES, "cnn", "foreign"])
def test_units_are_those_of_the_weights(kind):
    model = make(kind)
    plan = Plan(model)
    sampler = Sampler(plan)
    reading = read(model, plan, sampler=sampler).host()
    wanted = {m.id for m in plan.matrices if len(m.shape) >= 2 and m is not plan.tokens}
    assert set(reading.units) == wanted
    for number, got in reading.units.items():
        units, inputs = sampled(sampler.grids[number])
        whole = outputs(plan.matrices[number], model)
        assert len(set(units)) == len(units) <= 64
        assert len(units) >= min(len(whole), 32)
        assert (min(units), len(whole) - 1 - max(units)) <= (len(whole) / 16,) * 2
        np.testing.assert_array_equal(got, whole[np.ix_(units, inputs)])


@pytest.mark.parametrize("kind", ["gpt2", "mixtral", "cnn"])
def test_what_came_since_the_start(kind):
    model = make(kind)
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    before = {m.id: outputs(m, model).copy() for m in plan.matrices if len(m.shape) >= 2}
    reading, rows, similar = looked(model, plan, since, 0)
    assert (rows[list(before), 0] == 0).all()
    assert similar.ids == ()
    assert since.moved(0, reading) is None
    step(model)
    step(model)
    reading, rows, similar = looked(model, plan, since, 2)
    for number, start in before.items():
        now = outputs(plan.matrices[number], model)
        table = plan.matrices[number] is plan.tokens
        grid = (plan.vocabulary.ids, range(16)) if table else sampled(since.sampler.grids[number])
        at = np.ix_(*grid)
        row = dict(zip(COLUMNS, rows[number].tolist(), strict=True))
        exact = np.linalg.norm((now - start)[at]) / np.linalg.norm(start[at])
        assert row["since"] == pytest.approx(exact, rel=1e-4)
        whole = np.linalg.norm(now - start) / np.linalg.norm(start)
        assert row["since"] == pytest.approx(whole, rel=0.2)
        assert row["sampled"] == len(at[0])
        assert row["unit"] in at[0]
        assert np.isnan(row["dead"]) == (plan.matrices[number].kind in {"embedding", "position"})
    vectors = [m.id for m in plan.matrices if len(m.shape) < 2]
    assert np.isnan(rows[vectors]).all()
    if kind == "cnn":
        assert similar.ids == ()
        return
    assert similar.ids == since.sampler.readers
    updates = []
    for number in similar.ids:
        at = np.ix_(*sampled(since.sampler.grids[number]))
        update = (outputs(plan.matrices[number], model) - before[number])[at]
        # Of 16 coordinates: eight units, evenly spread.
        updates.append(update[((np.arange(8) + 0.5) * len(update) / 8).astype(int)])
    assert similar.units == 8
    np.testing.assert_allclose(similar.values, linear_cka(updates), atol=1e-4)


def test_tokens_since_the_start():
    model = make("gpt2")
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    table = model.transformer.wte.weight.detach().numpy()[plan.vocabulary.ids].copy()
    first, _, _ = looked(model, plan, since, 0)
    first.forget()
    for _ in range(3):
        step(model)
    reading, _, _ = looked(model, plan, since, 3)
    now = model.transformer.wte.weight.detach().numpy()[plan.vocabulary.ids]
    np.testing.assert_allclose(
        since.moved(3, reading), np.linalg.norm(now - table, axis=1), rtol=1e-4
    )


def test_the_table_of_tokens_is_told_from_all_rows_that_are_followed():
    """A batch moves few of many rows, of which 64 would meet none."""
    model = nn.ModuleDict({"table": nn.Embedding(3000, 20), "linear": nn.Linear(20, 8)})
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    looked(model, plan, since, 0)
    start = model["table"].weight.detach().clone()
    with torch.no_grad():
        model["table"].weight[[700, 1234]] += 1
        model["table"].weight[1234] *= 30
    _, rows, _ = looked(model, plan, since, 1)
    row = dict(zip(COLUMNS, rows[plan.tokens.id].tolist(), strict=True))
    change = float((model["table"].weight.detach() - start).norm() / start.norm())
    assert row["since"] == pytest.approx(change, rel=1e-4)
    assert (row["sampled"], row["exploding"], row["unit"]) == (3000, 1, 1234)
    assert np.isnan(row["dead"])


def test_tokens_of_wide_tables(monkeypatch):
    """From half of the columns that are kept of those."""
    monkeypatch.setattr(rows_module, "_BYTES", 1000)
    model = tiny_model("gpt2", hidden=600)
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    table = model.transformer.wte.weight.detach().numpy().copy()
    looked(model, plan, since, 0)
    step(model, 1e-6)
    step(model, 1e-6)
    reading, _, _ = looked(model, plan, since, 2)
    assert since._rows.shape[1] == -(-reading.columns.shape[1] // 2)
    wanted = np.linalg.norm(model.transformer.wte.weight.detach().numpy() - table, axis=1)
    np.testing.assert_allclose(since.moved(2, reading), wanted, rtol=0.3)
    assert since.moved(2, reading).mean() == pytest.approx(wanted.mean(), rel=0.04)


def test_dead_and_exploding_units_are_found_by_their_number():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(50, 300), nn.ReLU(), nn.Linear(300, 40))
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    looked(model, plan, since, 0)
    held = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(model)
    units, _ = sampled(since.sampler.grids[0])
    others, _ = sampled(since.sampler.grids[2])
    with torch.no_grad():
        model[0].weight[units[11]] = held["0.weight"][units[11]]
        model[2].weight[others[5]] *= 100
    _, rows, _ = looked(model, plan, since, 1)
    dead, exploding = (dict(zip(COLUMNS, rows[n].tolist(), strict=True)) for n in (0, 2))
    assert (dead["dead"], dead["exploding"], dead["unit"]) == (1, 0, units[11])
    assert (exploding["dead"], exploding["exploding"], exploding["unit"]) == (0, 1, others[5])
    with torch.no_grad():
        model[0].weight[units[3], 0] = float("nan")
    _, rows, similar = looked(model, plan, since, 2)
    assert rows[0, 3] == 1
    assert rows[0, 5] == units[3]
    assert np.isnan(rows[0, 0])
    assert similar.ids == ()


def test_a_frozen_matrix_is_taken_once_and_when_it_is_written_to():
    model = make("gpt2")
    model.requires_grad_(False)
    model.transformer.h[1].requires_grad_(True)
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    looked(model, plan, since, 0)
    with torch.no_grad():
        for p in model.transformer.h[1].parameters():
            p.add_(1e-2 * torch.randn_like(p))
    reading, rows, similar = looked(model, plan, since, 1)
    assert {plan.matrices[n].layer for n in reading.units} == {1}
    assert {plan.matrices[n].layer for n in similar.ids} == {1}
    assert {plan.matrices[n].layer for n in similar.frozen} == {0}
    at = next(m.id for m in plan.matrices if m.name == "transformer.h.0.mlp.c_fc.weight")
    assert rows[at, 0] == 0
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight.mul_(1.5)
    for number in (2, 3):
        reading, rows, similar = looked(model, plan, since, number)
        assert (at in reading.units) is (number == 2)
        assert rows[at, 0] == pytest.approx(0.5, rel=1e-3)
        assert at in similar.ids


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_adapters():
    """Of frozen weights nothing is compared but what the adapters learn."""
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(r=4))
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    _, rows, _ = looked(model, plan, since, 0)
    b = next(m.id for m in plan.matrices if m.kind == "lora" and m.role == "B")
    # It begins as zeros.
    assert rows[b, [0, 2, 3]].tolist() == [0, 0, 0]
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(1e-2 * torch.randn_like(p))
    reading, rows, similar = looked(model, plan, since, 1)
    assert {plan.matrices[n].kind for n in reading.units} == {"lora"}
    assert np.isnan(rows[b, 0])
    assert rows[b, 2] == rows[b, 3] == 0
    compared = [plan.matrices[n] for n in similar.ids]
    assert {(m.kind, m.role, m.layer) for m in compared} == {("lora", "A", 0), ("lora", "A", 1)}
    assert {plan.matrices[n].kind for n in similar.frozen} == {"attention", "mlp"}


def test_what_cannot_be_read_is_unknown():
    model = make("gpt2")
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    late = model.transformer.h[0].mlp.c_proj
    weight, late.weight = late.weight, nn.Parameter(torch.empty(64, 16, device="meta"))
    looked(model, plan, since, 0)
    late.weight = weight
    gone = model.transformer.h[1].attn.c_attn
    gone.weight = nn.Parameter(torch.empty(16, 48, device="meta"))
    model.transformer.wte.weight = nn.Parameter(torch.zeros(3, 16))
    reading, rows, similar = looked(model, plan, since, 1)
    by_name = {m.name: rows[m.id] for m in plan.matrices}
    # Of what could not be read at the start there is nothing to tell either.
    for name in ("h.0.mlp.c_proj", "h.1.attn.c_attn", "wte"):
        assert np.isnan(by_name[f"transformer.{name}.weight"]).all(), name
    assert by_name["transformer.h.1.mlp.c_fc.weight"][0] == 0
    assert since.moved(1, reading) is None
    assert len(similar.frozen) == 3


def test_half_precision_is_compared_in_full():
    model = make("llama").bfloat16()
    plan = Plan(model)
    since = Since(plan, Sampler(plan))
    before = {m.id: outputs(m, model).copy() for m in plan.matrices if len(m.shape) >= 2}
    first, _, _ = looked(model, plan, since, 0)
    assert all(rows.dtype == np.float32 for rows in first.units.values())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + 2**-7)
    _, rows, _ = looked(model, plan, since, 1)
    for number in since.sampler.grids:
        at, start = np.ix_(*sampled(since.sampler.grids[number])), before[number]
        update = outputs(plan.matrices[number], model)[at] - start[at]
        assert rows[number, 0] == pytest.approx(
            np.linalg.norm(update) / np.linalg.norm(start[at]), rel=1e-5
        )


def test_room_is_kept_by_fewer_units_and_then_fewer_inputs():
    plan = Plan(tiny_model("gpt2", layers=3, hidden=64))
    whole = Sampler(plan)
    for room in (20_000, 3000, 100):
        grids = Sampler(plan, room).grids
        assert set(grids) == set(whole.grids)
        assert sum(grid.count for grid in grids.values()) <= room
    few = Sampler(plan, 20_000)
    assert {len(few.grids[n].inputs) for n in few.readers} == {64}


def test_layouts():
    experts = Grid.of(Layout(groups=32, outputs=100, inputs=40, turned=True), 64, 1024)
    weight = torch.arange(32 * 40 * 100).view(32, 40, 100)
    taken = experts.take(weight).reshape(-1, 40)
    assert experts.shape == (8, 8, 40)
    for place in (0, 9, 63):
        expert, output = divmod(experts.number(place), 100)
        assert torch.equal(taken[place], weight[expert, :, output])
    turned = nn.ConvTranspose2d(6, 4, 3)
    plan = Plan(nn.ModuleDict({"up": turned}))
    layout = Sampler(plan).grids[0].layout
    assert (layout.outputs, layout.inputs) == (4, 54)
    last = nn.Conv2d(8, 5, 3).to(memory_format=torch.channels_last)
    plan = Plan(nn.ModuleDict({"conv": last}))
    reading = read(plan._model, plan, sampler=Sampler(plan)).host()
    np.testing.assert_array_equal(reading.units[0], last.weight.detach().numpy().reshape(5, -1))


@pytest.mark.parametrize("kind", ["gpt2", "mixtral", "cnn"])
def test_taking_them_waits_for_nothing(kind):
    model = make(kind)
    plan = Plan(model)
    sampler = Sampler(plan)
    read(model, plan, sampler=sampler)
    with Watch() as watch:
        moment = read(model, plan, sampler=sampler)
    assert watch.waits == []
    assert moment.bytes > read(model, plan).bytes
    moment.host()
    assert moment.units.vectors == []


def test_another_plan_may_go_on_from_a_start():
    model = make("gpt2")
    since = Since(Plan(model), Sampler(Plan(model)))
    assert not since.fits(Plan(model))
    looked(model, Plan(model), since, 0)
    assert since.fits(Plan(make("gpt2")))
    assert not since.fits(Plan(make("llama")))


def test_room_of_a_large_model():
    """Of GPT-2 XL, by its shapes alone: its share of the 50 MB that a snapshot may take."""
    config = transformers.GPT2Config(n_layer=48, n_embd=1600, n_head=25)
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(config)
    sampler = Sampler(Plan(model, None, Options(everything=True)))
    elements = sum(grid.count for grid in sampler.grids.values())
    assert 0.5 * units_module._LITTLE < elements <= units_module._LITTLE
    assert len(sampler.readers) == 48
    sampler = Sampler(Plan(model))
    assert sum(grid.count for grid in sampler.grids.values()) <= units_module._ROOM
    assert {grid.shape[1] for grid in sampler.grids.values()} <= set(range(55, 65))
