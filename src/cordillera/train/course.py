"""Actions -> the path that they drive, and how far it lies from another: what ties the plan to the road while learning.

The flow's own loss counts every action alike, and most of it can be had by smoothing the noisy actions that the expert
is given: a model may lower it for a long time without a look at the road. Metres do not forgive that. A curvature that
is off by a tenth of its spread is nothing to the flow and two metres after three seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cordillera.policy.vla.config import ActionSpaceConfig

KNOT = 4  # actions that share one pair of numbers of the head
ALONG_M = 0.15, 0.4, 1.35  # tolerance along the path: a + b t^c, with t in s; near the error of going on as one does
ACROSS_M = 0.08, 0.1, 1.35  # and across it
TURN_RAD = 0.1
BEND = 0.3  # of a tolerance: smaller misses count by their square


def path_of(actions: Tensor, speed_mps: Tensor, config: ActionSpaceConfig) -> Tensor:
    """Normalised actions (..., N, 2) and speeds (...,) at the start -> x, y in m and heading in rad (..., N, 3).

    The unicycle of `policy.vla.actions.to_trajectory`, so that gradients pass; from the origin with heading 0.
    """
    actions, speed_mps = actions.float(), speed_mps.float()
    dt = config.dt
    accel = actions[..., 0] * config.accel_std + config.accel_mean
    kappa = actions[..., 1] * config.curvature_std + config.curvature_mean
    gain = (accel * dt).cumsum(-1)
    speed = speed_mps[..., None] + torch.cat([torch.zeros_like(gain[..., :1]), gain], dim=-1)
    turn = (kappa * (speed[..., :-1] * dt + 0.5 * dt**2 * accel)).cumsum(-1)
    heading = torch.cat([torch.zeros_like(turn[..., :1]), turn], dim=-1)
    x, y = (
        (0.5 * dt * (rate[..., :-1] + rate[..., 1:])).cumsum(-1)
        for rate in (speed * heading.cos(), speed * heading.sin())
    )
    return torch.stack([x, y, turn], dim=-1)


def tolerances(count: int, dt: float, terms: tuple[float, float, float], device: torch.device) -> Tensor:
    """How many waypoints of which step, and a + b t^c -> tolerances (N,) in m."""
    base, slope, power = terms
    return base + slope * (torch.arange(1, count + 1, device=device) * dt) ** power


def miss(actions: Tensor, wanted: Tensor, speed_mps: Tensor, config: ActionSpaceConfig) -> Tensor:
    """Normalised actions (..., N, 2), those that were driven, and speeds (...,) -> how far apart their paths are.

    Along and across the driven path and in heading, each by its tolerance at that time; the mean over all (scalar).
    """
    ours, theirs = path_of(actions, speed_mps, config), path_of(wanted, speed_mps, config)
    off, heading = ours - theirs, theirs[..., 2]
    along = off[..., 0] * heading.cos() + off[..., 1] * heading.sin()
    across = off[..., 1] * heading.cos() - off[..., 0] * heading.sin()
    count, device = actions.shape[-2], actions.device
    parts = (
        along / tolerances(count, config.dt, ALONG_M, device),
        across / tolerances(count, config.dt, ACROSS_M, device),
        off[..., 2] / TURN_RAD,
    )
    return torch.stack([functional.smooth_l1_loss(part, torch.zeros_like(part), beta=BEND) for part in parts]).mean()


class Course(nn.Module):
    """What the decoder holds at the end of the words -> one course, straight from it; it is not part of the model.

    The action expert reads the decoder without a gradient, so without this the decoder would be taught by its words
    alone, and these seldom need the route, the speed or the edge of the road to a decimal.
    """

    def __init__(self, hidden: int, config: ActionSpaceConfig) -> None:
        super().__init__()
        if config.n_waypoints % KNOT:
            raise ValueError(f"{config.n_waypoints} waypoints are no multiple of {KNOT}")
        self.config = config
        self.head = nn.Linear(hidden, 2 * config.n_waypoints // KNOT)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)  # going on at the same speed; and nothing random, so that runs can be repeated

    def forward(self, hidden: Tensor, wanted: Tensor, speed_mps: Tensor) -> Tensor:
        """States (B, C), driven actions (B, N, 2) and speeds (B,) -> loss."""
        knots = self.head(hidden).float().unflatten(-1, (-1, 2))
        return miss(knots.repeat_interleave(KNOT, dim=1), wanted, speed_mps, self.config)
