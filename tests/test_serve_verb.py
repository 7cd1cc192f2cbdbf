"""`cordillera serve`: which policies can be served, how it is started and stopped, and a model behind the wire."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("grpc")

from cordillera.cli import main
from cordillera.presets.serve import maker_of, served_of
from cordillera.runtime.driver import SafeDriver
from cordillera.serve.client import RemoteConfig, RemoteDriver
from cordillera.types import same
from tests.serve_fixtures import serving
from tests.test_serve_client import FLOAT32_M, seen

NAMES = ("camera_front_wide_120fov", "camera_front_tele_30fov")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "expert"], "true state"),
        (["--policy", "cordillera.policy.rule:RuleExpert"], "true state"),
        (["--policy", "nobody"], "route-follower"),
        (["--policy", "route-follower", "--host", "0.0.0.0"], "--tls-cert"),
        (["--policy", "route-follower", "--host", "example.org", "--tls-cert", "a.pem"], "certificate and its key"),
        (["--policy", "route-follower", "--camera", "front-wide=c"], "reads no camera"),
    ],
)
def test_what_cannot_be_served_says_why(arguments, words, capsys):
    assert main(["serve", "--port", "0", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--camera", "front-wide"], ["--port", "70000"], ["--message-mb", "0"]])
def test_wrong_words_are_refused(arguments):
    with pytest.raises(SystemExit):
        main(["serve", "--policy", "route-follower", *arguments])


def test_it_says_where_it_serves_and_stops_when_told():
    command = [sys.executable, "-m", "cordillera", "serve", "--policy", "constant-velocity", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "400"}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        assert found, line
        remote = RemoteDriver(found.group())
        assert remote.connect().endswith("constant-velocity")
        assert len(remote.decide(seen(cameras=())).trajectory.t_us) == 64
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0 and "Stopped." in out and "Traceback" not in err
        with pytest.raises(ConnectionError, match="nobody answers"):
            RemoteDriver(found.group()).connect()
    finally:
        process.kill()


def test_ones_own_class_gets_the_sessions_seed():
    make, _ = maker_of("tests.serve_fixtures:SeeingPolicy")
    assert (make(3).seed, make(4).seed) == (3, 4)  # type: ignore[attr-defined]
    served = served_of("tests.serve_fixtures:SeeingPolicy", "always", NAMES[:1], (96, 54))
    assert [(c.name, c.width, c.height) for c in served.cameras] == [(NAMES[0], 96, 54)]


# ------------------------------------------------------------------------ a model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A trained model's folder, but for the training: a tiny random one with two cameras."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from cordillera.policy.vla.export import export
    from cordillera.policy.vla.model import new_vla
    from cordillera.policy.vla.tokenizer import build_tokenizer
    from tests.vla_fixtures import tiny

    torch.set_num_threads(1)
    base = tiny(per_token=2)
    config = replace(base, prompt=replace(base.prompt, cameras=NAMES, image_size=(96, 64), max_tokens=900))
    place = tmp_path_factory.mktemp("model")
    export(new_vla(config), build_tokenizer(config), place)
    return place


def test_a_model_behind_the_wire_decides_as_in_process(folder):
    """Its words are switched off: those of random weights need not end."""
    served = served_of(str(folder), "off", (), (384, 216))
    assert [(c.name, c.width, c.height) for c in served.cameras] == [(name, 96, 64) for name in NAMES]
    make, _ = maker_of(str(folder), "off")
    with serving(served) as address:
        for seed in (0, 7):
            remote, here = RemoteDriver(address, RemoteConfig(seed=seed)), SafeDriver(make(seed))
            for step in range(3):
                moment = seen(step, served.cameras)
                ours, theirs = here.drive(moment).decision, remote.decide(moment)
                assert len(theirs.candidates) == len(ours.candidates)
                for a, b in zip(ours.candidates, theirs.candidates, strict=True):
                    assert_allclose(b.xyz, a.xyz, atol=20 * FLOAT32_M)  # the history's rounding goes through the model
                assert_allclose(theirs.trajectory.xyz, ours.trajectory.xyz, atol=20 * FLOAT32_M)
                assert same(theirs.reasoning, ours.reasoning)
            remote.close()


def test_sessions_share_weights_and_nothing_else(folder):
    make, _ = maker_of(str(folder), "off")
    a, b = make(1), make(2)
    assert a.graphs is b.graphs and a.embeddings is b.embeddings  # type: ignore[attr-defined]
    cameras = served_of(str(folder), "off", (), (384, 216)).cameras
    alone = make(1).decide(seen(1, cameras))
    a.decide(seen(0, cameras)), b.decide(seen(4, cameras, seed=3))
    assert np.abs(a.decide(seen(1, cameras)).trajectory.xyz - alone.trajectory.xyz).max() < 1e-2
    assert not np.array_equal(b.decide(seen(1, cameras)).trajectory.xyz, alone.trajectory.xyz)
