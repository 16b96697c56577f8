"""OmegaConf resolvers for settings that follow from others, so that config.yaml records the values used.

${unless_decayed:1e-3}   1e-3, or 0 where the optimiser has a weight_decay of its own that is not 0
${listened:${metric}}    the metric, or val_loss where it is `last`, which nothing can monitor
"""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig, OmegaConf

PENALTY_KEY = "regularizer.l2"
DECAY_KEY = "optimizer.weight_decay"
SEARCHED_DECAY = "tag(log,interval(1e-4,1))"  # the domain of the decay that replaces the penalty of a space
SEARCHED_ONCE = (
    f"the optimiser decays the weights itself, so {DECAY_KEY} is searched in place of the space's "
    f"{PENALTY_KEY}"
)


def unless_decayed(l2: float, *, _root_) -> float:
    return 0.0 if decay_of(_root_.get("optimizer")) else l2


def decay_of(optimizer) -> float:
    """The `weight_decay` of an optimiser's settings; 0 if it has none."""
    return (optimizer or {}).get("weight_decay") or 0.0


def monitored_metric(metric: str) -> str:
    return "val_loss" if metric == "last" else metric


OmegaConf.register_new_resolver("unless_decayed", unless_decayed, replace=True)
OmegaConf.register_new_resolver("listened", monitored_metric, replace=True)


def decay_notes(config: DictConfig, settings: dict, searched: Collection[str] = ()) -> list[str]:
    """Remarks on an optimiser with weight decay of its own: the default penalty is left out, or the weights
    are decayed twice. `config` is what `settings` came from; `searched` are keys of a sweep's space."""
    if "optimizer" not in settings:  # of nnlab predict, say
        return []
    optimizer, l2 = settings["optimizer"], settings["regularizer"]["l2"]
    decay = optimizer.get("weight_decay", 0)
    if "weight_decay" not in optimizer or not (decay or DECAY_KEY in searched):
        return []
    value = "is searched" if DECAY_KEY in searched else f"= {decay}"
    subject = f"optimizer={optimizer['name']} decays the weights itself (optimizer.weight_decay {value})"
    if PENALTY_KEY in searched:
        l2 = "searched"
    if l2 == "searched" or (_positive(l2) and _positive(decay)):
        return [f"{subject} and regularizer.l2 is {l2}: usual is one of them, the other 0"]
    if OmegaConf.is_interpolation(config.regularizer, "l2"):
        return [f"{subject}, so regularizer.l2 is 0; to have both, set it"]
    return []


def _positive(x) -> bool:
    return isinstance(x, int | float) and x > 0
