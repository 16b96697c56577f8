"""OmegaConf resolvers for settings that follow from others, so that config.yaml records the values used.

${unless_decayed:1e-3}   1e-3, or 0 if the optimiser itself decays the weights (its weight_decay is not 0)
${monitored:${metric}}   the metric, or val_loss if it is `last` or unknown, and names none to monitor

`decay_advice` explains to the user what became of the L2 penalty.
"""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig, OmegaConf

PENALTY_KEY = "regularizer.l2"
DECAY_KEY = "optimizer.weight_decay"
DECAY_SEARCH_SPACE = "tag(log,interval(1e-4,1))"  # replaces that of PENALTY_KEY beside such an optimiser
DECAY_REPLACES_L2_ADVICE = (
    f"the optimiser decays the weights itself, so {DECAY_KEY} is searched in place of the space's "
    f"{PENALTY_KEY}"
)


def unless_decayed(l2: float, *, _root_) -> float:
    return 0.0 if decay_of(_root_.get("optimizer")) else l2


def decay_of(optimizer) -> float:
    """The `weight_decay` of an optimiser's settings; 0 if it has none."""
    return (optimizer or {}).get("weight_decay") or 0.0


def monitored_metric(metric: str) -> str:
    """What a part watches that follows `metric`: of `last`, and of no metric, the loss.

    So that an unknown metric is reported as `metric`, which the user wrote, and not as the part's.
    """
    from nnlab.metrics import METRICS  # and numpy, for which `--help` does not wait

    return metric if metric in ("val_error", *METRICS) else "val_loss"


OmegaConf.register_new_resolver("unless_decayed", unless_decayed, replace=True)
OmegaConf.register_new_resolver("monitored", monitored_metric, replace=True)
OmegaConf.register_new_resolver("listened", monitored_metric, replace=True)  # its old name, in users' files


def decay_advice(config: DictConfig, settings: dict, searched: Collection[str] = ()) -> list[str]:
    """Advice if the optimiser decays the weights itself: the default L2 penalty is left out, or the weights
    are decayed twice. `settings` are those of `config`; `searched` are the searched keys of a sweep."""
    if "optimizer" not in settings:  # a command that trains nothing, such as nnlab predict
        return []
    optimizer, l2 = settings["optimizer"], settings["regularizer"]["l2"]
    decay = optimizer.get("weight_decay", 0)
    if "weight_decay" not in optimizer or not (decay or DECAY_KEY in searched):
        return []
    value = "is searched" if DECAY_KEY in searched else f"= {decay}"
    subject = f"optimizer={optimizer['name']} decays the weights itself (optimizer.weight_decay {value})"
    if PENALTY_KEY in searched:
        l2 = "searched"
    follows_decay = PENALTY_KEY not in searched and OmegaConf.is_interpolation(config.regularizer, "l2")
    if l2 == "searched" or (_positive(l2) and not follows_decay):
        return [f"{subject} and regularizer.l2 is {l2}: usually one of them is used, and the other is 0"]
    if follows_decay:
        return [f"{subject}, so regularizer.l2 is 0; to have both, set it"]
    return []


def _positive(x) -> bool:
    return isinstance(x, int | float) and x > 0
