"""What the judgement of a run costs: rules, fixed evaluation, gradients, adapters, spikes.

Every measurement in a process of its own with one thread of torch, in CPU time; ratios are of
rounds side by side. The rules and the verdict work on whichever thread settles; what is told is
what they would cost a step if that were always the training's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.figure import Figure

_HEAD = """
import json, statistics, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
"""

_TORCH = (
    _HEAD
    + """
import torch, transformers
torch.set_num_threads(1)
torch.manual_seed(0)
transformers.logging.set_verbosity_error()
from nbmonitor.probe import Batch, Context, Step
"""
)

# Rows as a Trainer's run brings them: ten a settling, gradients every tenth step, a fixed set.
_RULES = (
    _HEAD
    + """
from nbmonitor.judge import Judge
from nbmonitor.run import Run
from nbmonitor.rulebook import Rulebook
STEPS = 5000
chance = np.random.default_rng(0)
noise = chance.normal(0, 0.1, STEPS).tolist()
each = ("train/grad_norm", "train/learning_rate", "train/epoch", "train/step_time",
        "train/samples_per_second", "tokens/per_second", "tokens/padding_ratio",
        "tokens/mean_length", "tokens/per_step", "train/loss_ema", "train/token_entropy")
grouped = [f"{kind}/{layer}.{part}/{what}" for kind, what in (("grad", "norm"), ("update", "ratio"))
           for layer in range(12) for part in ("attention", "mlp")]
rows = []
for n in range(1, STEPS + 1):
    loss = 2 + 3 * 0.999 ** n + noise[n - 1]
    values = {"train/loss": loss, **dict.fromkeys(each, 0.1 + 0.01 * noise[n - 1])}
    if n % 10 == 0:
        values |= dict.fromkeys(grouped, 0.01 + 0.001 * noise[n - 1])
    if n % 500 == 0:
        values |= {"fixed_eval/exact_match": 0.5 + n / 2e4, "fixed_eval/cross_entropy": loss,
                   "fixed_eval/ece": 0.05}
    rows.append((n, values, 1e9 + n / 10))
parts = [rows[n : n + 10] for n in range(0, STEPS, 10)]
spent = []
for _ in range(5):
    run = Run()
    run.set_status("running")
    book = Rulebook(run)
    start = time.process_time()
    for part in parts:
        book.watch(part)
    spent.append((time.process_time() - start) / STEPS * 1e6)
run.extend(rows)
judge, looks = Judge(run), []
for _ in range(20):
    start = time.process_time()
    judge.judge()
    looks.append((time.process_time() - start) * 1e3)
print(json.dumps({"rules": min(spent), "verdict": statistics.median(looks),
                  "off": [e["data"]["message"] for e in run.events("probe_error")]}))
"""
)

_SET = (
    _TORCH
    + """
import sys, tempfile
from nbmonitor.capture.evaluation import Evaluation
from nbmonitor.capture.undisturbed import undisturbed
from nbmonitor.encoding import Encoded
N, T, V, BATCH = 100, 64, 50257, 50
model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
    n_layer=2, n_embd=64, n_head=2, vocab_size=V, n_positions=128))
texts = np.random.default_rng(0).integers(3, V, (N, T)).tolist()
encoded = [Encoded(n, ids, [-100] + ids[1:], 1) for n, ids in enumerate(texts)]

def ours():
    with undisturbed(model):
        return Evaluation(model, "causal", 0).run(encoded).loss

def trainer_loss():
    return evaluator.evaluate()["eval_loss"]

@torch.no_grad()
def naive():
    model.eval()
    cost = count = entropy = right = 0
    for start in range(0, N, BATCH):
        ids = torch.tensor(texts[start : start + BATCH])  # (rows, T)
        logits, wanted = model(ids).logits[:, :-1].float(), ids[:, 1:]  # (rows, T - 1, V)
        log = logits.log_softmax(-1)
        cost -= log.gather(-1, wanted[..., None]).sum()
        chances = log.exp()
        entropy -= (chances * log).sum()
        right += (chances.max(-1).indices == wanted).sum()
        count += wanted.numel()
    return float(cost / count)
"""
)

_FIXED = (
    _SET
    + """
# Nothing predicts a first token; the Trainer would count it all the same.
data = [{"input_ids": torch.tensor(ids), "labels": torch.tensor([-100] + ids[1:])} for ids in texts]
evaluator = transformers.Trainer(model, transformers.TrainingArguments(
    tempfile.mkdtemp(), report_to="none", use_cpu=True, disable_tqdm=True,
    prediction_loss_only=True), eval_dataset=data)
evaluator.callback_handler.callbacks = []
ways = {"ours": ours, "loss": trainer_loss, "naive": naive}
spent = {name: [] for name in ways}
losses = {}
for round in range(4):
    for name, way in ways.items():
        start = time.process_time()
        losses[name] = way()
        spent[name].append(time.process_time() - start)
best = {name: min(times[1:]) * 1000 / N for name, times in spent.items()}
print(json.dumps({"spent": best, "losses": losses}))
"""
)

_MEMORY = (
    _SET
    + """
import threading
way = {"ours": ours, "naive": naive}[sys.argv[1]]
full, encoded, texts = (encoded, texts), encoded[:2], texts[:2]
N = 2
way()
(encoded, texts), N = full, 100

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

peak, done = [0.0], threading.Event()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], resident())

before = resident()
threading.Thread(target=watch, daemon=True).start()
way()
done.set()
print(json.dumps(peak[0] - before))
"""
)

_INSIGHT = (
    _TORCH
    + """
from nbmonitor import taps
from nbmonitor.probes.dead_units import DeadUnits
from nbmonitor.probes.gradients import Gradients
from nbmonitor.probes.spikes import Spikes
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    vocab_size=8000, hidden_size=320, intermediate_size=960, num_hidden_layers=8,
    num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128, use_cache=False))
model.train()
optimizer = torch.optim.AdamW(model.parameters())
ids = torch.randint(3, 8000, (4, 64))
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
clock = {"probes": 0.0, "spikes": 0.0}

def timed(method, what):
    def call(*args):
        start = time.process_time()
        try:
            return method(*args)
        finally:
            clock[what] += time.process_time() - start
    return call

plain = taps.Tap.__call__
taps.Tap.__call__ = lambda *args: timed(plain, "probes")(*args)
probes = [Gradients(), DeadUnits()]
spikes = Spikes()
for probe in (*probes, spikes):
    probe.every = 1
    if hasattr(probe, "spacing"):
        probe.spacing = 1
    probe.on_begin(Context(model=model, optimizer=optimizer))
ratios, each, kept = [], [], []
for n in range(1, 41):
    clock.update(probes=0.0, spikes=0.0)
    odd = n == 40
    start = time.process_time()
    timed(spikes.on_batch, "spikes")(Batch(inputs, 4))
    loss = model(**inputs).loss
    loss.backward()
    step = Step(n, 0.0, model=model, loss=torch.tensor(9.0 if odd else 2.0 + 0.01 * (n % 3)))
    timed(spikes.on_gradients, "spikes")(step)
    measured = [timed(probes[0].on_gradients, "probes")(step)]
    optimizer.step()
    measured += [timed(probe.on_step, "probes")(step) for probe in probes]
    timed(spikes.on_step, "spikes")(step)
    optimizer.zero_grad()
    whole = time.process_time() - start
    bare = whole - clock["probes"] - clock["spikes"]
    found = clock["probes"] / bare, clock["spikes"], clock["spikes"] / bare
    (kept if odd else each).append(found)
    assert n < 3 or all(measured[:2]) and measured[2], "a probe has measured nothing"
each = each[5:]
print(json.dumps({
    "parameters": sum(p.numel() for p in model.parameters()),
    "probes": statistics.median(e[0] for e in each),
    "quiet": statistics.median(e[1] for e in each) * 1e6, "kept": kept[0][2]}))
"""
)

_ADAPTERS = (
    _TORCH
    + """
from peft import LoraConfig, get_peft_model
from nbmonitor.probes.lora_truth import LoraTruth
SHAPES = {"q_proj": (4096, 4096), "k_proj": (4096, 4096), "v_proj": (4096, 4096),
          "o_proj": (4096, 4096), "gate_proj": (11008, 4096), "up_proj": (11008, 4096),
          "down_proj": (4096, 11008)}

class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, (out, into) in SHAPES.items():
            linear = torch.nn.Linear(1, 1, bias=False)
            linear.in_features, linear.out_features = into, out
            # A base weight that takes no memory.
            weight = torch.ones(1).expand(out, into)
            linear.weight = torch.nn.Parameter(weight, requires_grad=False)
            setattr(self, name, linear)

model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([Layer() for _ in range(32)])})
model = get_peft_model(model, LoraConfig(r=16, target_modules=list(SHAPES)))
probe = LoraTruth()
probe.on_begin(Context(model=model))
with torch.no_grad():
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.add_(torch.randn_like(weight) * 0.01)
readings, rest = [], []
for n in range(1, 12):
    start = time.process_time()
    measured = probe.on_step(Step(n, 0.0))
    readings.append((time.process_time() - start) * 1e3)
    start = time.process_time()
    out = probe.derive(Step(n, 0.0), {
        k: v.numpy() if hasattr(v, "numpy") else v for k, v in measured.items()})
    rest.append((time.process_time() - start) * 1e3)
print(json.dumps({"reading": statistics.median(readings), "derive": statistics.median(rest),
                  "series": len(out)}))
"""
)


def _result(code: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def measure() -> list[Figure]:
    """Measure one after the other; about two minutes."""
    rules = _result(_RULES)
    fixed = _result(_FIXED)
    spent, losses = fixed["spent"], fixed["losses"]
    spread = max(losses.values()) - min(losses.values())
    note = f"{spent['ours']:.1f} : {spent['loss']:.1f} : {spent['naive']:.1f} CPU-s per 1,000"
    grown = {way: _result(_MEMORY, way) for way in ("ours", "naive")}
    insight = _result(_INSIGHT)
    model = f"{insight['parameters'] / 1e6:.0f} M parameters"
    adapters = _result(_ADAPTERS)
    series = f"{adapters['series']} series; {adapters['derive']:.0f} ms more, off this thread"
    return [
        Figure("rules and phases a step", rules["rules"], "µs", 30, note="; ".join(rules["off"])),
        Figure("one look at the evidence, every 3 s", rules["verdict"], "ms"),
        Figure(
            "fixed evaluation / Trainer's loss alone", spent["ours"] / spent["loss"], "×", 0.8,
            note=note,
        ),
        Figure(
            "fixed evaluation / naive full logits", spent["ours"] / spent["naive"], "×", 0.35,
            note=f"losses agree to {spread:.1g}",
        ),
        Figure(
            "fixed evaluation: peak growth at V = 50,257", grown["ours"], "MB", 250,
            note=f"naive {grown['naive']:.0f} MB",
        ),
        Figure(
            "gradients, updates, dead units: a measured step", 100 * insight["probes"], "%", 4,
            note=model,
        ),
        Figure("the same, every tenth step", 10 * insight["probes"], "%", 0.5),
        Figure("spikes: a step that is not kept, caches cold", insight["quiet"], "µs"),
        Figure("spikes: a step that is kept", 100 * insight["kept"], "% of a step"),
        Figure(
            "LoRA truth, 7B-shaped, r = 16: a reading", adapters["reading"], "ms", 50,
            note=series,
        ),
    ]  # fmt: skip
