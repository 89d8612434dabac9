"""The Parameters tab's measurements: what a model's weights look like while they change.

Reading, on the training thread::

    plan = Plan(model, tokenizer, Options())     # once; again when `plan.stale(model)`
    plan.absent                                  # {"tokens": reason, ...}; "model" = nothing at all
    plan.meta()                                  # the JSON of `parameters/meta`

    gradients = read_gradients(model, plan)           # in `on_gradients`, before they are cleared
    moment = read(model, plan, previous, gradients)   # in `on_step`; no sync, no copy to the host
    moment = read(model, plan, previous, gradients, Sampler(plan))   # with sampled units

(`Plan`, `Options` from `plan`; `read`, `read_gradients`, `Moment` from `moment`.) `previous` is
the moment read before this one, or None (at the start, and after a rewind): what changed is told
against it. Whoever would drop a moment should rather not read it: the next one would tell its
change against one that nobody saw. `gradients` may be None: then they are unknown.

Off the training thread, once for each moment::

    reading = moment.host()     # waits for the device; arrays are the caller's own
    reading.tokens              # (n, d) float32 (float16 beyond 16 MB) or None: followed rows
    reading.norms               # (n,) float32 or None, L2 norms of those rows
    reading.positions           # (m, d) float32 or None
    reading.heat                # {matrix id: (h, w) float32}, RMS (or largest |w|) of each block
    reading.stats               # (matrices, 10) float32, columns are `STATISTICS`, NaN = unknown
    reading.moved(earlier)      # (n,) float32 or None, how far each token's row went since then
    reading.estimated           # whether `moved` is an estimate (wide tables), about 4 % off
    reading.units               # {matrix id: (units, inputs)} or None; `since.py` tells them
    reading.forget()            # keep no more than the next reading's `moved` needs
    reading.unread              # {matrix id: reason}: what can't be read (offloaded, sharded, ...)
    reading.nonfinite           # ids of matrices that hold NaN or infinities

`moment.bytes` is what a moment keeps on the device until `host` was called. `plan.meta(unread)`
writes the reasons of `reading.unread` beside their matrices. A matrix in `parameters/meta` may
carry `"absent"` (why it isn't read) and `"frozen": true`; `positions` carries `"step"`, the
distance of the rows that are read.
"""
