"""Agents as meshes: every kind has one of its size, and shows its gestures and lamps."""

import numpy as np
import pytest

from cordillera.sensors.classes import BEACONS_ON, INDICATES_LEFT, INDICATES_RIGHT, SEMANTIC_OF, Semantic
from cordillera.sensors.scene_agents import FLAT_KINDS, REFERENCE, agent_instances, agent_prototypes, mesh_name
from cordillera.sensors.scene_arrays import Instances
from cordillera.types import AgentKind, Agents, Gesture

PROTOTYPES = agent_prototypes()
NAMES = {name: k for k, name in enumerate(PROTOTYPES)}
MESHES = list(PROTOTYPES.values())


def placed(kind: AgentKind, size_lwh: tuple[float, float, float], **columns) -> Instances:
    """One agent at the origin that looks along x."""
    zero = np.zeros(1)
    agents = Agents(
        id=np.array([1]), kind=np.array([int(kind)]), xyz=np.zeros((1, 3)), yaw_rad=zero, speed_mps=zero,
        accel_mps2=zero, size_lwh=np.array([size_lwh]), lane=np.array([-1]), s_m=zero, valid=np.ones(1, dtype=bool),
        **{name: np.array([value]) for name, value in columns.items()},
    )  # fmt: skip
    return agent_instances(agents, NAMES, False, zero)


def extent(item: Instances) -> np.ndarray:
    """Length, width and height of what is drawn."""
    xyz = (MESHES[item.proto[0]].meshes[0].xyz * item.scale[0]) @ item.axes[0].T
    return np.ptp(xyz, axis=0)


@pytest.mark.parametrize("kind", list(AgentKind), ids=lambda kind: kind.name)
def test_every_kind_is_drawn_in_its_size(kind: AgentKind):
    size = np.array(REFERENCE[mesh_name(kind, 1, np.array([4.6, 1.8, 1.4]))]) * [1.1, 1.1, 1.05]
    drawn = placed(kind, tuple(size))
    assert Semantic(int(drawn.semantic[0])) == SEMANTIC_OF[kind]
    axes = 2 if kind in FLAT_KINDS else 3
    # mirrors, arms and crowns reach beyond, people and two-wheelers are slimmer than the box around them
    assert (extent(drawn)[:axes] < 1.35 * size[:axes] + 0.3).all()
    assert (extent(drawn)[:axes] > 0.55 * size[:axes]).all()


@pytest.mark.parametrize("kind", [AgentKind.GATE, AgentKind.DOOR, AgentKind.BARRIER, AgentKind.FALLEN_TREE])
def test_what_lies_along_x_is_turned(kind: AgentKind):
    length, width, _ = extent(placed(kind, (5.0, 0.5, 1.0)))
    assert length > 4.0 and width < 2.0
    length, width, _ = extent(placed(kind, (0.5, 5.0, 1.0)))
    assert width > 4.0 and length < 2.0


def test_gestures_have_meshes_of_their_own():
    for kind in (AgentKind.POLICE_OFFICER, AgentKind.FLAGGER):
        seen = {int(placed(kind, (0.5, 0.6, 1.8), shows=int(g)).proto[0]) for g in Gesture}
        assert len(seen) == len(Gesture)
    folded, out = (placed(AgentKind.SCHOOL_BUS, (11.0, 2.5, 3.0), shows=int(g)) for g in (Gesture.NONE, Gesture.STOP))
    assert extent(out)[1] > extent(folded)[1] + 0.5  # the arm
    assert not folded.flags[0] & BEACONS_ON and out.flags[0] & BEACONS_ON
    plain, shows = (placed(AgentKind.CAR, (4.5, 1.8, 1.4), shows=int(g)) for g in (Gesture.NONE, Gesture.STOP))
    assert plain.proto[0] == shows.proto[0]


def test_blinkers_left_right_both_and_off():
    both = INDICATES_LEFT | INDICATES_RIGHT
    for blinker, lit in ((1, INDICATES_LEFT), (-1, INDICATES_RIGHT), (2, both), (0, 0)):
        assert placed(AgentKind.CAR, (4.5, 1.8, 1.4), blinker=blinker).flags[0] & both == lit
