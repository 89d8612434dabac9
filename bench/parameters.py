"""What a snapshot of the parameters costs the training thread, and what memory it takes.

In processes of their own with one thread of torch, in CPU time, best of several: a snapshot is
samples of gradients, rows of embeddings, statistics and heat maps of everything that is read, and
sampled units, which tell what changed since the start. Weights are made-up numbers in the shapes
of GPT-2; each gradient is its weight, which costs the same to read and takes no memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.figure import Figure

_CODE = """
import ctypes, json, pathlib, sys, threading, time, warnings
warnings.filterwarnings("ignore")
import torch, transformers
torch.set_num_threads(1)
from nbmonitor.parameters.moment import read, read_gradients
from nbmonitor.parameters.plan import Options, Plan
from nbmonitor.parameters.since import Since
from nbmonitor.parameters.units import Sampler

shape, ways, rounds = json.loads(sys.argv[1])
# What torch and numpy load at their first use is not a snapshot's.
tiny = transformers.GPT2LMHeadModel(transformers.GPT2Config(
    n_layer=1, n_embd=256, n_head=4, vocab_size=80_000))
plan = Plan(tiny, None, Options())
read(tiny, plan, read(tiny, plan)).host()
del tiny, plan

config = transformers.GPT2Config(**shape)
with torch.device("meta"):
    model = transformers.GPT2LMHeadModel(config)
model = model.to_empty(device="cpu")
model.tie_weights()
noise = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)) * 0.02
for p in model.parameters():
    for part in p.data.view(-1).split(len(noise)):
        part.copy_(noise[: len(part)])
    p.grad = p.detach()

FIELDS = ("arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost").split()
Info = type("Info", (ctypes.Structure,), {"_fields_": [(f, ctypes.c_size_t) for f in FIELDS]})
mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info

def in_use():
    info = mallinfo()
    return (info.uordblks + info.hblkhd) / 1e6

def status(name):
    line = next(x for x in open("/proc/self/status") if x.startswith(name))
    return int(line.split()[1]) / 1e3

class Words:
    all_special_ids = [config.vocab_size - 1]
    def get_vocab(self):
        return {("\u0120" if n % 2 else "") + f"w{n}": n for n in range(config.vocab_size)}

def watch():
    while not done.wait(0.001):
        peak[0] = max(peak[0], in_use())

out = {"parameters": sum(p.numel() for p in model.parameters())}
for way, options in ways.items():
    started = time.process_time()
    plan = Plan(model, Words(), Options(**options))
    since = Since(plan, Sampler(plan))
    planned = time.process_time() - started
    previous, earlier, spent, hosts, tells, units = None, None, [], [], [], []
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    resident, used = status("VmRSS"), in_use()
    peak, done = [0.0], threading.Event()
    for n in range(rounds + 2):
        if n == rounds:
            threading.Thread(target=watch, daemon=True).start()
        started = time.process_time()
        gradients = read_gradients(model, plan)
        moment = read(model, plan, previous, gradients, since.sampler)
        spent.append(time.process_time() - started)
        kept = moment.bytes
        units.append(moment.units.seconds)
        started = time.process_time()
        reading = moment.host()
        reading.moved(earlier)
        hosts.append(time.process_time() - started)
        if n:
            # A training would have changed them; a matrix that has not moved costs nothing.
            for x in reading.units.values():
                x *= 1.001
        else:
            since.begin(0, reading)
        started = time.process_time()
        since.moved(n, reading)
        rows, similar = since.tell(n, reading)
        tells.append(time.process_time() - started)
        previous, earlier = moment, reading
        heat, followed, told = len(reading.heat), len(reading.tokens), reading.stats
        assert not reading.unread and heat == len(plan.heat)
        reading.forget()
    done.set()
    told = told[[m.id for m in plan.chosen]]
    assert (told == told).all(), "something was not measured"
    out[way] = {
        "read": min(spent[1:rounds]) * 1e3, "host": min(hosts[1:rounds]) * 1e3,
        "plan": planned * 1e3, "used": peak[0] - used, "resident": status("VmHWM") - resident,
        "kept": kept / 1e6, "heat": heat, "rows": followed,
        "units": min(units[1:rounds]) * 1e3, "tell": min(tells[1:rounds]) * 1e3,
        "alike": len(similar.ids), "sampled": int((rows[:, 1] == rows[:, 1]).sum()),
    }
    since = previous = earlier = reading = moment = gradients = None
print(json.dumps(out))
"""

_SMALL: dict[str, Any] = {}
_XL = {"n_layer": 48, "n_embd": 1600, "n_head": 25}
_ALL = {"everything": True, "heatmaps": None}


def _run(shape: dict[str, Any], ways: dict[str, Any], rounds: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _CODE, json.dumps([shape, ways, rounds])],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


def measure() -> list[Figure]:
    """Measure GPT-2 small and GPT-2 XL; the latter takes 6.5 GB."""
    small = _run(_SMALL, {"default": {}, "all": _ALL}, 8)
    large = _run(_XL, {"all": _ALL, "selective": {}}, 4)
    default = small["default"]
    note = (
        f"{small['parameters'] / 1e6:.0f} M fp32, {default['rows']} tokens, "
        f"{default['heat']} heat maps; {default['host']:.0f} ms more off this thread"
    )
    size = f"{large['parameters'] / 1e9:.2f} G fp32"
    used, resident = (
        max(large[way][what] for way in ("all", "selective")) for what in ("used", "resident")
    )
    return [
        Figure("parameters, GPT-2 small: a snapshot", default["read"], "ms", 130, note=note),
        Figure(
            "of that: sampled units, with most snapshots", default["units"], "ms",
            note=f"{default['sampled']} matrices, {default['alike']} of them compared; "
            f"{default['tell']:.0f} ms more off this thread",
        ),
        Figure(
            "the same, with heat maps of all matrices", small["all"]["read"], "ms",
            note=f"{small['all']['heat']} heat maps",
        ),
        Figure(
            "parameters, GPT-2 XL: everything", large["all"]["read"] / 1e3, "s", 1.5,
            note=f"{size}, {large['all']['heat']} heat maps",
        ),
        Figure(
            "parameters, GPT-2 XL: selective, its default", large["selective"]["read"], "ms", 250,
            note=f"{large['selective']['heat']} heat maps",
        ),
        Figure(
            "parameters, GPT-2 XL: extra memory in use, at most", used, "MB", 50,
            note=f"with the work off this thread; resident {resident:.0f} MB: malloc keeps some",
        ),
        Figure("parameters: a plan, once", default["plan"], "ms", note="classes, tokens, layout"),
    ]  # fmt: skip
