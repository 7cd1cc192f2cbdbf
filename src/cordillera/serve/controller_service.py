"""`controller.VDCService`: a state and a plan in, the states that follow out: our tracker and our car.

A session remembers the state that it answered last. The contract's request has no place for what the actuators do, and
runtimes send rates by differences of poses, half a step late; so where the request continues what was answered, the
car's own rates go on. `coerce_dynamic_state` takes those of the request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from cordillera.geometry import wrap_angle, yaw_of
from cordillera.serve.controller import Controller
from cordillera.serve.convert import ego_of, pose_message, state_message, time_of, trajectory_of
from cordillera.serve.service import Context, WorldService, few
from cordillera.serve.sessions import SessionLimits, Sessions
from cordillera.serve.wire import common_pb2, controller_pb2
from cordillera.types import EgoState

NEAR_M, NEAR_RAD, NEAR_MPS = 0.3, 0.05, 1.5  # a request so near to the last answer continues it
SHORTEST_REPORT_US = 10_000


@dataclass(eq=False)
class Car:
    """One session's car."""

    controller: Controller
    last: EgoState | None = field(default=None)

    def run(self, request: controller_pb2.RunControllerAndVehicleModelRequest) -> tuple[EgoState, ...]:
        """A request -> the states to report, the last one at `future_time_us`; ValueError for what cannot be done."""
        t_us = time_of(request.state.timestamp_us, "the state")
        ego = ego_of(t_us, request.state.pose, request.state.state)
        if not request.coerce_dynamic_state:
            ego = carried_on(ego, self.last)
        report_us = request.pose_reporting_interval_us
        if report_us < 0 or 0 < report_us < SHORTEST_REPORT_US:
            raise ValueError(
                f"pose_reporting_interval_us is {report_us}; give 0 for the last state only, or at least "
                f"{SHORTEST_REPORT_US}"
            )
        command = request.WhichOneof("command")
        if command == "direct_control":
            wheel, accel = (
                request.direct_control.front_wheel_steering_angle_rad,
                request.direct_control.longitudinal_acceleration_mps2,
            )
            if not (math.isfinite(wheel) and math.isfinite(accel) and abs(wheel) < 1.5):
                raise ValueError(f"direct_control is ({wheel:g} rad, {accel:g} m/s2); send finite commands")
            states = self.controller.steer(ego, wheel, accel, request.future_time_us, report_us)
        elif command == "planned_trajectory_in_rig":
            few(len(request.planned_trajectory_in_rig.poses), self.controller.limits.most_poses, "poses of the plan")
            plan = trajectory_of(request.planned_trajectory_in_rig, "rig", "the plan")
            states = self.controller.propagate(ego, plan, request.future_time_us, report_us)
        else:
            raise ValueError("the request has no command; send planned_trajectory_in_rig or direct_control")
        self.last = states[-1]
        return states


def carried_on(ego: EgoState, last: EgoState | None) -> EgoState:
    """A state as told, and the one answered last -> with that one's rates and actuators, where the two are one car."""
    if last is None or last.t_us != ego.t_us:
        return ego
    away_m = math.hypot(*(ego.xyz[:2] - last.xyz[:2]))
    turned = abs(float(wrap_angle(yaw_of(ego.quat_xyzw) - yaw_of(last.quat_xyzw))))
    if away_m > NEAR_M or turned > NEAR_RAD or abs(ego.speed_mps - last.speed_mps) > NEAR_MPS:
        return ego
    return replace(
        ego, velocity_mps=last.velocity_mps, accel_mps2=last.accel_mps2, curvature_1pm=last.curvature_1pm,
        yaw_rate_radps=last.yaw_rate_radps,
    )  # fmt: skip


def answer_of(states: tuple[EgoState, ...]) -> controller_pb2.RunControllerAndVehicleModelResponse:
    """States in order -> the answer, in the fields of now and, for the last one, in those of before."""
    answer = controller_pb2.RunControllerAndVehicleModelResponse()
    for state in states:
        pose, rates = pose_message(state.xyz, state.quat_xyzw), state_message(state)
        answer.states.add(
            timestamp_us=state.t_us, pose_local_to_rig=pose, pose_local_to_rig_estimated=pose, dynamic_state=rates,
            dynamic_state_estimated=rates,
        )  # fmt: skip
    last = answer.states[-1]
    stamped = common_pb2.PoseAtTime(timestamp_us=last.timestamp_us, pose=last.pose_local_to_rig)
    answer.pose_local_to_rig.CopyFrom(stamped)
    answer.pose_local_to_rig_estimated.CopyFrom(stamped)
    answer.dynamic_state.CopyFrom(last.dynamic_state)
    answer.dynamic_state_estimated.CopyFrom(last.dynamic_state)
    return answer


class ControllerService(WorldService):
    """The service; its methods are the calls of the contract. Run `sessions.reap` beside it to close idle ones."""

    name = "controller"

    def __init__(
        self, controller: Controller | None = None, threads: int = 1, limits: SessionLimits | None = None
    ) -> None:
        super().__init__(threads)
        self.controller = controller or Controller()
        self.sessions: Sessions[Car] = Sessions(limits)

    async def start_session(self, request: Any, context: Context) -> common_pb2.SessionRequestStatus:
        """A session with a car of our own; rig files of the request are not read."""
        await self.sessions.begin(request.session_uuid, self._begun)
        return common_pb2.SessionRequestStatus()

    async def _begun(self) -> Car:
        return Car(self.controller)

    async def close_session(self, request: Any, context: Context) -> common_pb2.Empty:
        """Forget a session; one that is not open is closed already."""
        self.sessions.close(request.session_uuid)
        return common_pb2.Empty()

    async def run_controller_and_vehicle(
        self, request: Any, context: Context
    ) -> controller_pb2.RunControllerAndVehicleModelResponse:
        """A state local_to_rig and a plan, or wheel angle and acceleration -> the states up to `future_time_us`."""
        held = self.sessions.find(request.session_uuid)
        async with held.turn:
            return answer_of(await self.aside(held.kept.run, request))

    async def get_version(self, request: Any, context: Context) -> common_pb2.VersionId:
        """Who serves."""
        return self.version()
