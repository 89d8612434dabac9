"""What is being trained, as far as it can be read off a Trainer or a model: `run.config`.

Duck-typed, no imports of torch or transformers: what is not there is left out.
"""

from __future__ import annotations

import sys
from typing import Any

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "nbmonitor")


def _versions() -> dict[str, str]:
    import importlib.metadata  # a twentieth of a second that importing nbmonitor need not pay

    found = {}
    for name in _PACKAGES:
        if name in sys.modules:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "not installed as a package"
    return found


def _lora(model: Any) -> dict[str, Any] | None:
    configs = getattr(model, "peft_config", None)
    if not configs:
        return None
    name, config = next(iter(configs.items()))
    if not hasattr(config, "lora_alpha"):
        return None
    return {
        "r": getattr(config, "r", None),
        "alpha": config.lora_alpha,
        "adapters": list(configs),
        "adapter": name,
        "dora": bool(getattr(config, "use_dora", False)),
        "rslora": bool(getattr(config, "use_rslora", False)),
    }


def describe_model(model: Any) -> dict[str, Any]:
    """Name, size, method and precision of a model; parameters on `meta` count too."""
    if model is None or not hasattr(model, "parameters"):
        return {}
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = getattr(base, "config", None)
    path = str(getattr(config, "_name_or_path", "") or "")
    out: dict[str, Any] = {"model": path.rstrip("/").split("/")[-1] or type(base).__name__}
    total = trainable = 0
    kinds: dict[str, int] = {}
    for parameter in model.parameters():
        size = parameter.numel()
        total += size
        trainable += size if parameter.requires_grad else 0
        kind = str(parameter.dtype).removeprefix("torch.")
        kinds[kind] = kinds.get(kind, 0) + size
    out["params"], out["trainable_params"] = total, trainable
    if kinds:
        out["precision"] = max(kinds, key=lambda kind: kinds[kind])
    if getattr(model, "is_loaded_in_4bit", False):
        out["precision"] = "INT4"
    lora = _lora(model)
    if lora:
        out["lora"] = lora
    out["method"] = _method(model, lora, total, trainable)
    return out


def _method(model: Any, lora: dict[str, Any] | None, total: int, trainable: int) -> str:
    if lora:
        quantised = getattr(model, "is_loaded_in_4bit", False)
        return "qlora" if quantised else ("dora" if lora["dora"] else "lora")
    if getattr(model, "peft_config", None):
        return "peft"
    return "full" if trainable == total else "partial"


def _length(dataset: Any) -> int | None:
    try:
        return len(dataset)
    except TypeError:  # a stream has no length
        return None


def describe(trainer: Any, model: Any = None) -> dict[str, Any]:
    """Everything for the title, the footer and the record that a Trainer tells."""
    args = trainer.args
    out = describe_model(model if model is not None else getattr(trainer, "model", None))
    if getattr(args, "bf16", False) or getattr(args, "fp16", False):
        mixed = "bf16" if args.bf16 else "fp16"
        stored = out.get("precision", "float32")
        out["precision"] = f"{mixed} mixed" if stored == "float32" else f"{stored} {mixed}"
    dataset = getattr(trainer, "train_dataset", None)
    size = None if dataset is None else _length(dataset)
    if size is not None:
        out["dataset_size"] = size
    strategy = getattr(args.eval_strategy, "value", args.eval_strategy)
    out |= {
        "trainer": type(trainer).__name__,
        "batch_size": args.per_device_train_batch_size,
        "gradient_accumulation_steps": args.gradient_accumulation_steps,
        "max_steps": args.max_steps,
        "num_train_epochs": args.num_train_epochs,
        "logging_steps": args.logging_steps,
        "eval_strategy": str(strategy),
        "seed": args.seed,
        "optimizer": str(getattr(args.optim, "value", args.optim)),
        "learning_rate": args.learning_rate,
        "load_best_model_at_end": bool(getattr(args, "load_best_model_at_end", False)),
        "output_dir": str(args.output_dir),
        "device": str(args.device),
        "versions": _versions(),
    }
    if str(strategy) == "steps":
        out["eval_steps"] = int(args.eval_steps) if args.eval_steps >= 1 else None
    run_name = getattr(args, "run_name", None)
    if run_name and run_name != args.output_dir:
        out["name"] = run_name
    return out
