"""Names of drivers -> policies: the expert, the baselines, the model that is bundled, and trained models in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cordillera.policy.baselines import ConstantVelocity, RouteFollower
from cordillera.policy.rule import RuleExpert
from cordillera.reasoning.grammar import following
from cordillera.reasoning.schema import parse
from cordillera.runtime.driver import Policy

POLICIES: dict[str, Callable[[], Policy]] = {
    "expert": RuleExpert,
    "route-follower": RouteFollower,
    "constant-velocity": ConstantVelocity,
}
NANO = "nano"
WEIGHTS = Path(__file__).resolve().parents[1] / "policy" / "weights"
REASONING = ("always", "adaptive", "off")
SILENCE = 0.25  # adaptive: of easy windows half were trained to say nothing, of others none
PLANS = 6  # that are sampled; the one in their middle is driven


def policy_of(name: str, reasoning: str = "always", seed: int = 0, threads: int = 2) -> Policy:
    """A bundled name or the folder of a trained model -> what drives; ValueError says what there is.

    A folder holds either exported graphs, which run without torch, or a checkpoint in the released layout.
    Graphs use so many threads a decision.
    """
    if reasoning not in REASONING:
        raise ValueError(f"reasoning {reasoning!r} is not one of {', '.join(REASONING)}")
    if name in POLICIES:
        return POLICIES[name]()
    folder = WEIGHTS / NANO if name == NANO else Path(name)
    if (folder / "student.json").is_file():
        return _student(folder, reasoning, seed, threads)
    if (folder / "config.json").is_file():
        return _checkpoint(folder, reasoning, seed)
    if name == NANO:
        raise ValueError(f"no weights are bundled in {folder}; train a model (cordillera train) and give its folder")
    known = ", ".join((*POLICIES, NANO))
    raise ValueError(f"policy {name!r} is neither one of {known} nor a folder with student.json or config.json")


def seen_by(policy: Policy) -> tuple[tuple[str, ...], tuple[int, int] | None]:
    """A policy -> the cameras that a trained model reads and the size of their pictures; () and None: any."""
    prompt = getattr(policy, "prompt", None)
    if prompt is None:
        return (), None
    wants = prompt.config.prompt
    return wants.cameras, wants.image_size if any(wants.image_size) else None


def _student(folder: Path, reasoning: str, seed: int, threads: int) -> Policy:
    from cordillera.policy.student import Student, StudentConfig
    from cordillera.policy.vla.grammar import TextGrammar
    from cordillera.policy.vla.prompt import CLOSING

    silence = SILENCE if reasoning == "adaptive" else 1.0
    config = StudentConfig(PLANS, reason=reasoning != "off", silence=silence, threads=threads, seed=seed)
    student = Student(folder, config, parse=parse, name=folder.name)
    student.grammar = TextGrammar(following, student.tokenizer.encode, student.tokenizer.encode(CLOSING))
    return student


def _checkpoint(folder: Path, reasoning: str, seed: int) -> Policy:
    from cordillera.policy.vla.grammar import TextGrammar
    from cordillera.policy.vla.load import load_vla
    from cordillera.policy.vla.policy import PolicyConfig, VlaPolicy, quoted
    from cordillera.policy.vla.prompt import CLOSING

    model, tokenizer = load_vla(folder)
    silence = SILENCE if reasoning == "adaptive" else 1.0
    config = PolicyConfig(samples=PLANS, reason=reasoning != "off", silence=silence, seed=seed)
    if model.config.family != "cordillera":  # a released model speaks freely
        return VlaPolicy(model, tokenizer, config, folder.name, None, quoted)
    grammar = TextGrammar(following, tokenizer.encode, tokenizer.encode(CLOSING))
    return VlaPolicy(model, tokenizer, config, folder.name, grammar, parse)
