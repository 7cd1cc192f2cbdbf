"""Windows of invented drives for the tests of training: what is seen, said and driven belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from vla_fixtures import observe

from cordillera.kinematics import roll_plan
from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.prompt import Prompt
from cordillera.presets.train import tiny
from cordillera.train.samples import DECISION, DRIVEN, Row, Wanted, encode_row, own_tokenizer
from cordillera.types import Cause, Lateral, Longitudinal, ReasoningTrace, Route, Sample

LIGHT = Cause("traffic light", "signal:1", "red at the stop line ahead", 0, 20.0, "longitudinal")
TRACES = (
    ReasoningTrace(Longitudinal.SET_SPEED, Lateral.LANE_KEEPING, (), "", "test"),
    ReasoningTrace(Longitudinal.STOP, Lateral.LANE_KEEPING, (LIGHT,), "", "test"),
    ReasoningTrace(Longitudinal.SET_SPEED, Lateral.TURN, (), "", "test", "left"),
    None,
)
ACTIONS = ((0.0, 0.0), (-1.2, 0.0), (0.0, 0.04), (0.5, -0.02))  # m/s2, 1/m: one a trace


def config() -> VlaConfig:
    base = tiny()
    prompt = replace(base.prompt, min_pixels=4096, max_pixels=8192, frames=2, navigation="line")
    return replace(base, prompt=prompt)


def wanted(step: int, kind: str = DRIVEN) -> Wanted:
    """The step-th window: its pictures, reason and path follow from the step."""
    which = step % len(TRACES)
    seen = observe(step, cameras=1)
    bend = 0.02 * (which - 1.5)
    at = np.linspace(0.0, 80.0, 41)
    route = Route(np.column_stack([at, 0.5 * bend * at**2, 0.0 * at]), frame="rig")
    future = roll_plan(np.tile(ACTIONS[which], (64, 1)), 8.0, seen.t_us)
    return Wanted(Sample(replace(seen, route=route), future, TRACES[which], f"clip-{which}"), kind, "Japan", "rain")


def rows_of(count: int, cfg: VlaConfig) -> list[Row]:
    prompt = Prompt(cfg, own_tokenizer(cfg))
    kinds = [DECISION if step == 5 else DRIVEN for step in range(count)]
    return [encode_row(wanted(step, kind), prompt) for step, kind in enumerate(kinds)]
