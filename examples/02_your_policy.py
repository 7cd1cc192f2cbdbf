"""A policy of your own: slow down to 3 m/s and follow the route. An observation in, a decision out, nothing kept."""

import numpy as np

from cordillera.geometry import arc_length, interpolate, quat_from_yaw
from cordillera.loop import roll_out
from cordillera.runtime.driver import SafeDriver
from cordillera.sensors.observe import Observer
from cordillera.types import Decision, Observation, Trajectory
from cordillera.world.spawn import make_scenario
from cordillera.world.world import World


class Stroll:
    name = "stroll"

    def decide(self, observation: Observation) -> Decision:
        seconds = 0.1 * np.arange(1, 65)
        line = observation.route.xyz[:, :2]  # in the rig frame: x forward, y left
        ahead = line[np.argmax(line[:, 0] > 2.0) :]
        path = np.vstack([[0.0, 0.0], ahead])
        speed = np.maximum(observation.speed_mps - 1.5 * seconds, 3.0)
        distance = np.minimum(np.cumsum(0.1 * speed), arc_length(path)[-1])
        xy = interpolate(path, distance)
        nose = interpolate(path, distance + 0.5) - xy
        yaw = np.arctan2(nose[:, 1], np.maximum(nose[:, 0], 1e-3))
        xyz = np.column_stack([xy, np.zeros(64)])
        t_us = observation.t_us + np.round(seconds * 1e6).astype(np.int64)
        plan = Trajectory(t_us, xyz, quat_from_yaw(yaw), "rig")
        return Decision(plan, (), None, self.name, 0.0)


scenario = make_scenario("built:curve", seed=1, duration_s=5.0)
rollout = roll_out(scenario, World(scenario), Observer(), SafeDriver(Stroll()))
ego = rollout.final.ego
print(f"{rollout.ended} after {len(rollout.steps)} steps, at {ego.xyz.round(1)}, {ego.speed_mps:.1f} m/s")
print({step.output.verdict.action for step in rollout.steps})
