"""The sensor model: exposure, noise, metering, lost frames."""

import numpy as np
import pytest

from cordillera.sensors.imaging import BYTES, LINEAR, STEPS, ImagingConfig, develop, dropped, first_ev, metered
from cordillera.types import Camera

CAMERA = Camera("front", "pinhole", 200, 100, 99.5, 49.5, (0.0, 100.0), (0.0, 0.01), np.eye(4))
OTHER = Camera("rear", "pinhole", 200, 100, 99.5, 49.5, (0.0, 100.0), (0.0, 0.01), np.eye(4))


def flat(value: int) -> np.ndarray:
    return np.full((100, 200, 3), value, dtype=np.uint8)


def test_the_defaults_change_nothing():
    drawn = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    assert develop(ImagingConfig(), CAMERA, 0, drawn, 0.0) is drawn
    assert not any(dropped(ImagingConfig(), CAMERA, t) for t in range(1000))
    assert metered(ImagingConfig(ev=0.7), drawn, 0.0, 0.1) == 0.7 == first_ev(ImagingConfig(ev=0.7))


def test_bytes_survive_the_way_to_linear_light_and_back():
    assert np.array_equal(BYTES[np.round(LINEAR * STEPS).astype(int)], np.arange(256))


@pytest.mark.parametrize("ev", [-1.0, 1.0, 0.5])
def test_a_stop_doubles_linear_light(ev: float):
    out = develop(ImagingConfig(), CAMERA, 0, flat(120), ev)
    assert LINEAR[out[0, 0, 0]] == pytest.approx(LINEAR[120] * 2.0**ev, rel=0.01)
    assert (develop(ImagingConfig(), CAMERA, 0, flat(255), 1.0) == 255).all()


def test_noise_has_the_variance_of_photons_and_read_out():
    config = ImagingConfig(well_electrons=4000.0, read_electrons=12.0)
    for value, ev in ((60, 0.0), (120, 0.0), (180, 0.0), (60, 1.0)):
        light = LINEAR[develop(config, CAMERA, 0, flat(value), ev)]
        mean, gain = LINEAR[value] * 2.0**ev, 2.0**ev
        assert light.mean() == pytest.approx(mean, rel=0.01)
        wanted = np.sqrt(gain * mean / 4000.0 + (gain * 12.0 / 4000.0) ** 2)
        assert light.std() == pytest.approx(wanted, rel=0.05)


def test_noise_is_bell_shaped_and_has_no_pattern():
    light = LINEAR[develop(ImagingConfig(well_electrons=500.0), CAMERA, 7, flat(150), 0.0)]
    z = (light - light.mean()) / light.std()
    assert abs((z**3).mean()) < 0.06 and (z**4).mean() == pytest.approx(3.0, abs=0.3)
    for shift, axis in ((1, 0), (1, 1), (1, 2)):
        assert abs((z * np.roll(z, shift, axis)).mean()) < 0.02


def test_noise_follows_seed_camera_and_time_alone():
    config = ImagingConfig(well_electrons=1000.0, seed=4)
    first = develop(config, CAMERA, 100_000, flat(90), 0.0)
    assert np.array_equal(first, develop(config, CAMERA, 100_000, flat(90), 0.0))
    others = (
        develop(ImagingConfig(well_electrons=1000.0, seed=5), CAMERA, 100_000, flat(90), 0.0),
        develop(config, OTHER, 100_000, flat(90), 0.0),
        develop(config, CAMERA, 100_001, flat(90), 0.0),
    )
    z = first.astype(float) - first.mean()
    for other in others:
        assert abs((z * (other - other.mean())).mean()) < 0.03 * z.std() * other.std()


def test_lost_frames_come_at_their_rate():
    config = ImagingConfig(drop_rate=0.2, seed=1)
    lost = [dropped(config, CAMERA, 100_000 * k) for k in range(5000)]
    assert np.mean(lost) == pytest.approx(0.2, abs=0.02)
    assert lost != [dropped(config, OTHER, 100_000 * k) for k in range(5000)]


def test_metering_closes_in_on_its_key_with_its_lag():
    config = ImagingConfig(auto=True, key=0.16, lag_s=0.5)
    dark = flat(60)
    wanted = np.log2(0.16 / LINEAR[60])
    ev = [first_ev(config)]
    for _ in range(60):
        ev.append(metered(config, dark, ev[-1], 0.1))
    assert ev[5] == pytest.approx(wanted * (1.0 - np.exp(-1.0)), rel=1e-6)  # 0.5 s: 63 %
    assert LINEAR[develop(config, CAMERA, 0, dark, ev[-1])].mean() == pytest.approx(0.16, rel=0.01)
    assert metered(config, flat(0), 2.0, 9.0) == pytest.approx(2.0)  # as far as its range goes


@pytest.mark.parametrize(
    "wrong", [{"drop_rate": 1.0}, {"well_electrons": 0.0}, {"read_electrons": 5.0}, {"lag_s": 0.0},
              {"ev_range": (1.0, -1.0)}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict):
    with pytest.raises(ValueError, match="ImagingConfig"):
        ImagingConfig(**wrong)
