"""A prompt -> the few numbers that a plan owes most to: the route's bearings, speed, and how both are changing.

The prompt says them too, as tokens. There they must be found by attention and read from embeddings, which takes long to
learn; a model of our own may therefore be given them once more, straight into its action tokens
(`ActionProjConfig.state`). They come from the prompt's own ids and history, and can say nothing that it does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cordillera.policy.vla.actions import initial_speed, yaw_of_matrix
from cordillera.policy.vla.config import VlaConfig
from cordillera.policy.vla.navigation import BINS, COUNT, bearings

SIZE = COUNT + 4
RECENT = 5  # poses over which speed and heading changed
SPEED_MPS, ACCEL_MPS2, YAW_RATE_RADPS = 10.0, 3.0, 0.5  # that count as 1


def plan_state(
    ids: NDArray[np.integer], history_xyz: NDArray[np.floating], history_rot: NDArray[np.floating], config: VlaConfig
) -> NDArray[np.float32]:
    """A prompt's ids (S,) and history (16, 3), (16, 3, 3) at 10 Hz -> (13,) float32, each about -1 to 1:

    bearings of the route in rad and its length that is left, whether there is a route line, speed, acceleration, yaw
    rate. Without a line its ten numbers are 0.
    """
    state = np.zeros(SIZE, np.float32)
    first = np.flatnonzero(ids == config.ids.route_start)
    if len(first) and config.prompt.navigation == "line":
        numbers = np.asarray(ids[first[0] + 1 : first[0] + 1 + COUNT], np.int64) - config.traj_start
        state[: COUNT - 1] = bearings(numbers)
        state[COUNT - 1] = numbers[-1] / (BINS - 1)
        state[COUNT] = 1.0
    past = slice(None, -RECENT)
    now = float(initial_speed(history_xyz, history_rot, config.action_space))
    before = float(initial_speed(history_xyz[past], history_rot[past], config.action_space))
    yaw = yaw_of_matrix(history_rot)
    turn = (yaw[-1] - yaw[-1 - RECENT] + np.pi) % (2.0 * np.pi) - np.pi
    span = RECENT * config.action_space.dt
    state[COUNT + 1 :] = now / SPEED_MPS, (now - before) / span / ACCEL_MPS2, turn / span / YAW_RATE_RADPS
    return state
