"""Any egodriver service as a policy of ours: an observation in, its decision out, over the wire."""

from __future__ import annotations

import io
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cordillera.geometry import arc_length, interpolate, invert, move_trajectory, quat_multiply, transform_of
from cordillera.serve.channel import Endpoint
from cordillera.serve.convert import camera_message, state_message, trajectory_message, trajectory_of, vec_message
from cordillera.serve.driver_service import CONTRACT_KEY, OPTICAL
from cordillera.serve.notes import Navigation, navigation_note, reasons_of
from cordillera.serve.wire import common_pb2, egodriver_pb2
from cordillera.serve.wire.services import DRIVER, Stub
from cordillera.types import Camera, Decision, EgoState, Float, Observation, Route, Trajectory

WAYPOINTS, ROUTE_M = 20, 80.0  # the contract's route
POINTS, STEP_US = 64, 100_000  # our plans
NEAR_M = 0.02  # two observations of one drive agree on where the car was
LONGEST_GAP_US = 1_000_000
EPOCH_US = 1_000_000_000  # added to our times on the wire, which has no negative ones; a history reaches before 0


class AnswerError(ValueError):
    """A driver's answer that cannot be driven; the text says what is wrong with it."""


@dataclass(frozen=True)
class RemoteConfig:
    """How a service is spoken to."""

    timeout_s: float = 30.0
    image_format: str = "PNG"  # or "JPEG"
    jpeg_quality: int = 95
    seed: int = 0


@dataclass(eq=False)
class _Drive:
    """What was sent in one session."""

    uuid: str
    t_us: int
    xyz: Float  # local, at `t_us`
    frame_t_us: dict[str, int] = field(default_factory=dict)  # the newest frame sent of each camera


class RemoteDriver:
    """A driver behind an address. Observations that go on from the last one go into its session, others into a new one.

    An observation is complete in itself, so a new session is given the whole window: any observation can be asked
    about at any time, as with every policy. Service errors are raised as ConnectionError with the service's sentence.
    """

    def __init__(self, endpoint: Endpoint | str, config: RemoteConfig | None = None, name: str = "") -> None:
        self.endpoint = Endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        self.config = config or RemoteConfig()
        if self.config.image_format not in ("PNG", "JPEG"):
            raise ValueError(f"image_format {self.config.image_format!r} is neither PNG nor JPEG")
        self.name = name or f"driver {self.endpoint.address}"
        self.sent_bytes = self.received_bytes = 0
        self._stub: Stub | None = None
        self._channel: grpc.Channel | None = None
        self._drive: _Drive | None = None
        self.version = ""  # as the service says, once connected

    @property
    def _is_ours(self) -> bool:
        return self.version.startswith("cordillera ")

    def __getstate__(self) -> dict[str, Any]:
        """Channels do not travel to other processes; each opens its own."""
        return self.__dict__ | {"_stub": None, "_channel": None, "_drive": None}

    def connect(self) -> str:
        """The service's version; ConnectionError where nobody answers."""
        self._connected()
        return self.version

    def try_cameras(self, cameras: tuple[Camera, ...]) -> None:
        """Begin and end a session with these cameras; ConnectionError with the service's sentence where it refuses."""
        self._end()
        self._begin(cameras)
        self._end()

    def close(self) -> None:
        """End the session and the connection."""
        self._end()
        if self._channel is not None:
            self._channel.close()
        self._channel = self._stub = None

    # -------------------------------------------------------------- decide

    def decide(self, observation: Observation) -> Decision:
        """An observation -> the service's plan in the rig frame of now, with its samples and the reasons it gives.

        Raises ConnectionError where the service does not answer or refuses, AnswerError for a plan that is none.
        """
        began = time.perf_counter()
        drive = self._session(observation)
        self._send_images(drive, observation)
        history = observation.ego_history
        tf_local_rig = transform_of(observation.ego.xyz, observation.ego.quat_xyzw)
        fresh = history.t_us > drive.t_us
        poses = move_trajectory(tf_local_rig, _rows(history, fresh), "local")
        self._send_egomotion(drive, poses, observation)
        self._call("submit_route", self._route(drive, observation))
        note = Navigation(observation.route.command, observation.route.text, observation.ego.curvature_1pm, True)
        request = egodriver_pb2.DriveRequest(
            session_uuid=drive.uuid,
            time_now_us=observation.t_us + EPOCH_US,
            time_query_us=observation.t_us + STEP_US + EPOCH_US,
            renderer_data=navigation_note(note) if self._is_ours else b"",
        )
        answer = self._call("drive", request)
        drive.t_us, drive.xyz = observation.t_us, observation.ego.xyz
        latency_ms = (time.perf_counter() - began) * 1e3
        return decision_of(answer, observation, self.name, latency_ms)

    def _session(self, observation: Observation) -> _Drive:
        """The session that an observation belongs to, begun where none does."""
        drive = self._drive
        if drive is not None and goes_on(drive.t_us, drive.xyz, observation):
            return drive
        self._end()
        return self._begin(observation.cameras)

    def _begin(self, cameras: tuple[Camera, ...]) -> _Drive:
        request = egodriver_pb2.DriveSessionRequest(session_uuid=str(uuid.uuid4()), random_seed=self.config.seed)
        request.rollout_spec.vehicle.available_cameras.extend(camera_message(c) for c in cameras)
        self._call("start_session", request, metadata=((CONTRACT_KEY, OPTICAL),))
        self._drive = _Drive(request.session_uuid, -EPOCH_US, np.zeros(3))
        return self._drive

    def _connected(self) -> Stub:
        if self._stub is None:
            self._channel = self.endpoint.channel()
            stub = Stub(self._channel, DRIVER)
            self.version = self._call("get_version", common_pb2.Empty(), stub).version_id
            self._stub = stub
        return self._stub

    def _end(self) -> None:
        if self._drive is not None and self._stub is not None:
            request = egodriver_pb2.DriveSessionCloseRequest(session_uuid=self._drive.uuid)
            try:
                self._stub.close_session(request, timeout=self.config.timeout_s)
            except grpc.RpcError:  # a service that is gone has closed its sessions
                self._stub = None
        self._drive = None

    # ---------------------------------------------------------------- send

    def _send_images(self, drive: _Drive, observation: Observation) -> None:
        """The frames that the session has not seen yet, all at once, as the contract's runtime sends them."""
        submit: Any = self._connected().submit_image_observation
        pending = []
        for camera, images, stamps in zip(observation.cameras, observation.images, observation.image_t_us, strict=True):
            newest = drive.frame_t_us.get(camera.name, -EPOCH_US)
            for image, t in zip(images, stamps, strict=True):
                if int(t) > newest:
                    drive.frame_t_us[camera.name] = newest = int(t)
                    message = image_message(drive.uuid, camera, int(t) + EPOCH_US, encoded(image, self.config))
                    self.sent_bytes += message.ByteSize()
                    pending.append(submit.future(message, timeout=self.config.timeout_s))
        for call in pending:
            try:
                self.received_bytes += call.result().ByteSize()
            except grpc.RpcError as error:
                raise ConnectionError(self._words("submit_image_observation", error)) from error

    def _send_egomotion(self, drive: _Drive, poses: Trajectory, observation: Observation) -> None:
        """Poses local_to_rig with their rates: a dense history first, then the pose of now."""
        states = states_of(poses, observation.ego)
        request = egodriver_pb2.RolloutEgoTrajectory(
            session_uuid=drive.uuid,
            trajectory=trajectory_message(replace(poses, t_us=poses.t_us + EPOCH_US)),
            dynamic_states=[state_message(state) for state in states],
        )
        self._call("submit_egomotion_observation", request)

    def _route(self, drive: _Drive, observation: Observation) -> egodriver_pb2.RouteRequest:
        line = observation.route.xyz if self._is_ours else contract_route(observation.route)
        waypoints = [vec_message(xyz) for xyz in line]
        route = egodriver_pb2.Route(timestamp_us=observation.t_us + EPOCH_US, waypoints=waypoints)
        return egodriver_pb2.RouteRequest(session_uuid=drive.uuid, route=route)

    def _call(
        self, name: str, request: Any, stub: Stub | None = None, metadata: tuple[tuple[str, str], ...] = ()
    ) -> Any:
        """One call; ConnectionError with the service's code and sentence where it fails."""
        try:
            call = getattr(stub or self._connected(), name)
            answer = call(request, timeout=self.config.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            self._drive = None
            raise ConnectionError(self._words(name, error)) from error
        self.sent_bytes += request.ByteSize()
        self.received_bytes += answer.ByteSize()
        return answer

    def _words(self, name: str, error: Any) -> str:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return (
                f"nobody answers at {self.endpoint.address} ({error.details()}); start the driver, or mend the address"
            )
        return f"{self.endpoint.address} answers {name} with {error.code().name}: {error.details()}"


# -------------------------------------------------------------------- messages


def goes_on(t_us: int, xyz_local: Float, observation: Observation) -> bool:
    """When and where the last observation was -> whether this one is a later moment of the same drive."""
    history = observation.ego_history
    at = np.flatnonzero(history.t_us == t_us)
    if not t_us < observation.t_us <= t_us + LONGEST_GAP_US or not len(at):
        return False
    tf_rig_local = invert(transform_of(observation.ego.xyz, observation.ego.quat_xyzw))
    there = tf_rig_local[:3, :3] @ xyz_local + tf_rig_local[:3, 3]
    return float(np.linalg.norm(history.xyz[int(at[0])] - there)) < NEAR_M


def image_message(uuid: str, camera: Camera, t_us: int, data: bytes) -> egodriver_pb2.RolloutCameraImage:
    """A camera's frame at an instant -> its message."""
    image = egodriver_pb2.RolloutCameraImage.CameraImage(
        frame_start_us=t_us, frame_end_us=t_us, image_bytes=data, logical_id=camera.name
    )
    return egodriver_pb2.RolloutCameraImage(session_uuid=uuid, camera_image=image)


def encoded(image: NDArray[np.uint8], config: RemoteConfig) -> bytes:
    """A picture (H, W, 3) -> the bytes of an image file."""
    out = io.BytesIO()
    options = {"compress_level": 1} if config.image_format == "PNG" else {"quality": config.jpeg_quality}
    Image.fromarray(image).save(out, config.image_format, **options)
    return out.getvalue()


def states_of(poses: Trajectory, ego: EgoState) -> list[EgoState]:
    """Poses in local up to now, and the state now -> a state a pose; rates of the past are by differences."""
    states = []
    for k, t in enumerate(poses.t_us):
        state = EgoState(int(t), poses.xyz[k], poses.quat_xyzw[k], np.zeros(3))
        if int(t) == ego.t_us:
            state = replace(ego, xyz=poses.xyz[k], quat_xyzw=poses.quat_xyzw[k])
        elif len(poses.t_us) > 1:
            a, b = (k, k + 1) if k + 1 < len(poses.t_us) else (k - 1, k)
            seconds = (poses.t_us[b] - poses.t_us[a]) * 1e-6
            tf_rig_local = invert(transform_of(poses.xyz[k], poses.quat_xyzw[k]))[:3, :3]
            turned = quat_multiply(poses.quat_xyzw[a] * np.array([-1.0, -1.0, -1.0, 1.0]), poses.quat_xyzw[b])
            yaw_rate = 2.0 * float(np.arctan2(turned[2], turned[3]) / seconds)
            velocity = tf_rig_local @ (poses.xyz[b] - poses.xyz[a]) / seconds
            state = replace(state, velocity_mps=velocity, yaw_rate_radps=yaw_rate)
        states.append(state)
    return states


def contract_route(route: Route) -> Float:
    """A route in the rig frame -> 20 waypoints over 80 m from beside the car on, padded with NaN behind its end.

    This is what AlpaSim's own route generator gives: equal distances, and the height of the rig's origin.
    """
    line = np.asarray(route.xyz, dtype=np.float64).reshape(-1, 3)
    out = np.full((WAYPOINTS, 3), np.nan)
    if len(line) < 2:
        out[: len(line)] = line
        return out
    ways = np.linspace(0.0, ROUTE_M, WAYPOINTS)
    within = ways <= arc_length(line)[-1]
    out[: int(within.sum())] = interpolate(line, ways[within]) * (1.0, 1.0, 0.0)
    return out


# ---------------------------------------------------------------------- answer


def decision_of(answer: Any, observation: Observation, name: str, latency_ms: float) -> Decision:
    """An answer and the observation it is for -> the decision; AnswerError for a plan that cannot be driven."""
    try:
        plan = ours(trajectory_of(answer.trajectory, "local", "the plan"))
        samples = [ours(trajectory_of(s, "local", "a sample")) for s in answer.debug_info.sampled_trajectories]
    except ValueError as error:
        raise AnswerError(f"{name}: {error}") from error
    trajectory = rig_plan(plan, observation, name)
    candidates = tuple(rig_plan(sample, observation, name) for sample in samples if len(sample.t_us) > 1)
    reasons = reasons_of(answer.debug_info.unstructured_debug_info)
    trace = reasons.reasoning if reasons else None
    if trace is not None:
        causes = tuple(replace(cause, evidence_t_us=cause.evidence_t_us - EPOCH_US) for cause in trace.causes)
        trace = replace(trace, causes=causes)
    return Decision(trajectory, candidates, trace, name, latency_ms)


def ours(trajectory: Trajectory) -> Trajectory:
    """A trajectory in the wire's time -> in our time."""
    return replace(trajectory, t_us=trajectory.t_us - EPOCH_US)


def rig_plan(plan: Trajectory, observation: Observation, name: str) -> Trajectory:
    """A plan in local of any spacing -> 64 poses at 10 Hz in the rig frame of now; AnswerError where it is no plan.

    Between its poses a plan is read straight; behind its last it goes on at its last speed, straight on.
    """
    now = observation.t_us
    if len(plan.t_us) < 2:
        raise AnswerError(f"{name}: the plan has {len(plan.t_us)} poses; two are the least")
    if plan.t_us[0] > now or plan.t_us[-1] <= now:
        raise AnswerError(
            f"{name}: the plan is from {plan.t_us[0]} to {plan.t_us[-1]} us, and now is {now} us; it must begin by "
            "now and end later"
        )
    tf_rig_local = invert(transform_of(observation.ego.xyz, observation.ego.quat_xyzw))
    local = move_trajectory(tf_rig_local, plan, "rig")
    grid = now + STEP_US * np.arange(1, POINTS + 1, dtype=np.int64)
    if len(local.t_us) > POINTS and np.array_equal(local.t_us[1 : POINTS + 1], grid):
        return _rows(local, slice(1, POINTS + 1))
    known = local.t_us.astype(np.float64)
    clock = np.minimum(grid, local.t_us[-1]).astype(np.float64)
    xyz = np.stack([np.interp(clock, known, local.xyz[:, d]) for d in range(3)], axis=-1)
    quat = local.quat_xyzw.copy()
    for k in range(1, len(quat)):
        if quat[k] @ quat[k - 1] < 0.0:
            quat[k] = -quat[k]
    turned = np.stack([np.interp(clock, known, quat[:, d]) for d in range(4)], axis=-1)
    last_mps = (local.xyz[-1] - local.xyz[-2]) / ((known[-1] - known[-2]) * 1e-6)
    xyz = xyz + np.maximum(grid - local.t_us[-1], 0)[:, None] * 1e-6 * last_mps
    return Trajectory(grid, xyz, turned / np.linalg.norm(turned, axis=1, keepdims=True), "rig")


def _rows(trajectory: Trajectory, rows: Any) -> Trajectory:
    return Trajectory(trajectory.t_us[rows], trajectory.xyz[rows], trajectory.quat_xyzw[rows], trajectory.frame)
