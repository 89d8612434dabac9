"""What a model can be asked in a fixed evaluation, and where it can't be asked, why."""

from __future__ import annotations

from typing import Any

_TAKES = "fixed evaluation takes causal models, encoder-decoders and sequence classifiers"

# What changes logits while text is generated, and the values with which it does nothing.
_PROCESSORS: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1.0),
    "encoder_repetition_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "bad_words_ids": (None,),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "suppress_tokens": (None,),
    "begin_suppress_tokens": (None,),
    "exponential_decay_length_penalty": (None,),
    "sequence_bias": (None,),
    "guidance_scale": (None, 1.0),
    "watermarking_config": (None,),
    "penalty_alpha": (None, 0.0),
    "dola_layers": (None,),
}


def kind_of(model: Any) -> tuple[str, str]:
    """Return the kind ("causal", "seq2seq", "classes"), and "" or the reason against it."""
    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "parameters"):
        return "", f"{type(model).__name__} has no config: {_TAKES} of transformers"
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = type(base).__name__
    if "ForSequenceClassification" in name:
        if getattr(config, "problem_type", None) in {"regression", "multi_label_classification"}:
            return "", f"{name} with problem_type={config.problem_type!r}: one class a text only"
        return "classes", ""
    if "ForMaskedLM" in name:
        return "", f"{name} fills in masks and answers no prompt: {_TAKES}"
    if getattr(base, "get_output_embeddings", lambda: None)() is None:
        return "", f"{name} predicts no tokens: {_TAKES}"
    return ("seq2seq" if getattr(config, "is_encoder_decoder", False) else "causal"), ""


def sharded(model: Any, wrapped: Any = None) -> str:
    """Why one process alone can't run the model, or ""."""
    if "FullyShardedDataParallel" in type(wrapped).__name__:
        return "FSDP"
    for parameter in model.parameters():
        if hasattr(parameter, "ds_id"):
            return "DeepSpeed ZeRO-3"
        if type(parameter).__name__ == "DTensor" or hasattr(parameter, "placements"):
            return "sharded parameters (DTensor)"
        break
    return ""


def processors(model: Any) -> list[str]:
    """Settings of the model's generation that let greedy decoding differ from the argmax."""
    settings = getattr(model, "generation_config", None)
    return [
        f"{name}={value!r:.40}"
        for name, idle in _PROCESSORS.items()
        if (value := getattr(settings, name, None)) not in idle
    ]


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end a generated text, the tokenizer's own first."""
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    settings = getattr(model, "generation_config", None)
    found = [getattr(tokenizer, "eos_token_id", None)]
    more = getattr(settings, "eos_token_id", None)
    found += more if isinstance(more, list | tuple) else [more]
    if all(token is None for token in found):
        found = [getattr(getattr(model, "config", None), "eos_token_id", None)]
    return tuple(dict.fromkeys(token for token in found if isinstance(token, int)))


def longest(model: Any, kind: str) -> int | None:
    """Most tokens that the model has positions for; None where there is no such limit."""
    if kind == "seq2seq" and getattr(model.config, "relative_attention_num_buckets", None):
        return None
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        found = getattr(text, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return None
