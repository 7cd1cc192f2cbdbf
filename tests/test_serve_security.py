"""Who may call, what a caller can do to others, and what nobody can do: TLS, token, limits, pickles, fuzzing."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("grpc")

import grpc

from cordillera.cli import main
from cordillera.presets.remote import Remote, remote_policy
from cordillera.serve.channel import Endpoint
from cordillera.serve.client import RemoteDriver
from cordillera.serve.driver_service import ServiceConfig
from cordillera.serve.notes import navigation_of, reasons_of
from cordillera.serve.server import Background, ServerConfig, credentials_of, read_token
from cordillera.serve.sessions import SessionLimits
from cordillera.serve.track import MOST_STATES, Track
from cordillera.serve.wire import common_pb2
from cordillera.serve.wire.services import DRIVER, Stub
from cordillera.types import Trajectory
from recipes.fuzz_serve import Target, fuzz, server
from tests.serve_fixtures import FRONT, SeeingPolicy, drive, egomotion, frame, route, served, serving, start
from tests.test_serve_client import seen

CODE = grpc.StatusCode
TOKEN = "a-token-of-at-least-sixteen-letters"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A certificate for localhost, its key, and a token, as files."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    place = tmp_path_factory.mktemp("keys")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    (place / "token").write_text(TOKEN + "\n")
    (place / "wrong").write_text(TOKEN[::-1])
    return place


def secure(keys, host="127.0.0.1"):
    return ServerConfig(host, 0, keys / "cert.pem", keys / "key.pem", keys / "token", grace_s=1.0)


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# -------------------------------------------------------------------- who may call


def test_only_loopback_without_tls_and_token(keys):
    for host in ("127.0.0.1", "localhost", "::1", "unix:/run/driver.sock"):
        assert credentials_of(ServerConfig(host)) is None
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", "127.0.0.1.example.org"):
        with pytest.raises(ValueError, match="--token-file"):
            credentials_of(ServerConfig(host))
        with pytest.raises(ValueError, match="--token-file"):
            credentials_of(ServerConfig(host, tls_cert=keys / "cert.pem", tls_key=keys / "key.pem"))
        assert credentials_of(secure(keys, host)) is not None


def test_tls_and_token(keys):
    with serving(server=secure(keys)) as address:
        remote = RemoteDriver(Endpoint(address, keys / "cert.pem", keys / "token"))
        assert remote.connect() and len(remote.decide(seen(cameras=())).trajectory.t_us) == 64
        remote.close()
        with Endpoint(address, keys / "cert.pem").channel() as channel:  # no token
            code, words = refused(lambda: Stub(channel, DRIVER).get_version(common_pb2.Empty()))
            assert code is CODE.UNAUTHENTICATED and "Bearer" in words and TOKEN not in words
        with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
            RemoteDriver(Endpoint(address, keys / "cert.pem", keys / "wrong")).connect()
        with pytest.raises(ConnectionError, match="nobody answers"):  # in plain text
            RemoteDriver(address).connect()
        with Endpoint(address, keys / "cert.pem").channel() as channel:  # health, too, is for those who may call
            health = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert refused(lambda: health(b""))[0] is CODE.UNAUTHENTICATED


def test_the_verbs_speak_tls(keys, tmp_path, capsys):
    options = ["--ca", str(keys / "cert.pem"), "--token-file", str(keys / "token")]
    with serving(server=secure(keys)) as address:
        command = ["check-driver", address, "--cameras", "none", "--steps", "2", "--sessions", "2", "--json"]
        assert main([*command, *options]) == 0
        assert json.loads(capsys.readouterr().out)["passed"]
        place = Remote(address, keys / "cert.pem", keys / "token")
        assert remote_policy(place) is remote_policy(place)


@pytest.mark.parametrize("text", ["", "short", "with a blank in it, so no", "ümlaute-sind-hier-nicht-gut"])
def test_tokens_that_are_none(tmp_path, text):
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="16"):
        read_token(tmp_path / "token")


def test_a_socket_in_the_file_system(tmp_path):
    config = ServerConfig(f"unix:{tmp_path}/driver.sock", grace_s=1.0)
    with serving(server=config) as address:
        remote = RemoteDriver(address)
        assert remote.connect().startswith("cordillera")
        remote.close()


# --------------------------------------------------- what a caller can do to others


def test_a_small_file_that_unpacks_to_a_large_picture_is_refused():
    out = io.BytesIO()
    Image.fromarray(np.zeros((9000, 64, 3), np.uint8)).save(out, "PNG")
    with serving(served(SeeingPolicy, (FRONT,))) as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        request = start((FRONT,))
        stub.start_session(request)
        message = frame(request.session_uuid, np.zeros((54, 96, 3), np.uint8))
        message.camera_image.image_bytes = out.getvalue()
        code, words = refused(lambda: stub.submit_image_observation(message))
        assert code is CODE.INVALID_ARGUMENT and "9000" in words


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: setattr(m[1].route.waypoints[3], "x", 1e12), "farthest"),
        (lambda m: [setattr(p, "y", 9000.0 * (k % 2)) for k, p in enumerate(m[1].route.waypoints)], "long"),
        (lambda m: m[1].route.waypoints.extend([common_pb2.Vec3()] * 6000), "at most"),
        (lambda m: setattr(m[0].trajectory.poses[2].pose.vec, "x", 1e12), "farthest"),
        (lambda m: setattr(m[0].dynamic_states[2].linear_velocity, "x", 1e6), "no car has"),
        (lambda m: m[0].trajectory.poses.extend([m[0].trajectory.poses[0]] * 6000), "at most"),
    ],
)
def test_numbers_that_would_cost_much_are_refused(spoil, words):
    """A route to the moon once took terabytes: it was sampled every two metres."""
    with serving() as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        request = start()
        stub.start_session(request)
        messages = egomotion(request.session_uuid), route(request.session_uuid)
        spoil(messages)

        def send():
            stub.submit_egomotion_observation(messages[0])
            stub.submit_route(messages[1])

        code, said = refused(send)
        assert code is CODE.INVALID_ARGUMENT and words in said


def test_a_flood_of_poses_is_forgotten():
    track = Track()
    for k in range(6):
        stamps = np.arange(5000 * k, 5000 * (k + 1), dtype=np.int64)
        track.extend(Trajectory(stamps, np.zeros((5000, 3)), np.tile([0.0, 0.0, 0.0, 1.0], (5000, 1)), "local"), None)
    assert len(track.states) == len(track.told) == MOST_STATES and track.states[-1].t_us == 29_999


def test_poses_that_no_car_drives_are_refused():
    with serving() as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        request = start()
        stub.start_session(request)
        stub.submit_egomotion_observation(egomotion(request.session_uuid, speed=5000.0, rates=False))
        code, words = refused(lambda: stub.drive(drive(request.session_uuid)))
        assert code is CODE.INVALID_ARGUMENT and "5000 m/s" in words


def test_sessions_that_do_everything_wrong_harm_none_that_do_it_right():
    """A caller's plans while others send broken bytes, unknown sessions and pictures that are none."""
    with (
        serving(served(SeeingPolicy, (FRONT,)), ServiceConfig(SessionLimits(sessions=8))) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = Stub(channel, DRIVER)
        request = start((FRONT,))
        stub.start_session(request)
        name = request.session_uuid
        stub.submit_egomotion_observation(egomotion(name))
        stub.submit_route(route(name))
        stub.submit_image_observation(frame(name, np.full((54, 96, 3), 70, np.uint8)))
        before = stub.drive(drive(name)).trajectory

        def rage(k):
            bad = start((FRONT,), name=f"bad-{k % 12}")
            for call in (
                lambda: stub.start_session(bad),
                lambda: channel.unary_unary(f"/{DRIVER}/drive")(bytes([255, k % 256] * 20)),
                lambda: stub.submit_image_observation(frame(bad.session_uuid, np.zeros((5, 7, 3), np.uint8))),
                lambda: stub.drive(drive(bad.session_uuid)),
            ):
                try:
                    call()
                except grpc.RpcError as error:
                    assert error.code() not in (CODE.INTERNAL, CODE.UNKNOWN)

        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(rage, range(24)):
                pass
        assert stub.drive(drive(name)).trajectory == before


# ------------------------------------------------------------------ code from bytes


class Bomb:
    def __reduce__(self):
        return os._exit, (3,)


def test_no_bytes_are_ever_unpickled():
    bomb = pickle.dumps(Bomb())
    assert reasons_of(bomb) is None and navigation_of(bomb) is None
    with serving() as address, grpc.insecure_channel(address) as channel:
        stub = Stub(channel, DRIVER)
        request = start()
        stub.start_session(request)
        stub.submit_egomotion_observation(egomotion(request.session_uuid))
        stub.submit_route(route(request.session_uuid))
        assert stub.drive(drive(request.session_uuid, data=bomb)).trajectory.poses


def test_a_driver_that_answers_with_a_pickle_is_not_unpickled():
    from tests.test_check_driver import Bad

    service = Bad("")
    service.do_bomb = lambda answer, poses, request: setattr(
        answer.debug_info, "unstructured_debug_info", pickle.dumps(Bomb())
    )
    service.fault = "bomb"
    with Background({DRIVER: service}, ServerConfig(port=0, grace_s=1.0), after=service.stop) as address:
        remote = RemoteDriver(address)
        assert remote.decide(seen()).reasoning is None
        remote.close()


def test_the_package_holds_no_way_to_run_bytes():
    """`pickle.loads`, `eval` and `exec` stand nowhere in what is served or called."""
    code = (
        "import pathlib, re, cordillera.serve as s\n"
        "found = [str(p) for p in pathlib.Path(s.__file__).parent.rglob('*.py')\n"
        r"         if re.search(r'pickle\.loads?\b|\beval\(|\bexec\(|yaml\.load|Unpickler|marshal', p.read_text())]"
        "\nprint(found)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_pickles_are_announced(capsys, monkeypatch):
    from cordillera.presets import serve as jobs

    async def at_once(services, config, ready, beside):
        ready("127.0.0.1:1")

    monkeypatch.setattr(jobs, "serve", at_once)
    assert main(["serve", "--policy", "constant-velocity", "--unsafe-pickle"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "pickles" in said and "you trust" in said
    assert main(["serve", "--policy", "constant-velocity"]) == 0
    assert "pickle" not in capsys.readouterr().out


# ------------------------------------------------------------------------- fuzzing


def test_a_short_fuzz():
    """The long one is `python -m recipes.fuzz_serve --minutes 10`."""
    with server() as address, grpc.insecure_channel(address) as channel:
        target = Target(channel)
        fuzz(target, 25, 11)
        assert sum(target.answers.values()) > 50
        assert any(name.endswith("INVALID_ARGUMENT") for name in target.answers)
        assert target.answers["drive OK"] > 5


def test_the_fuzz_finds_what_it_looks_for(monkeypatch):
    """A server that fails inside must not come back clean."""
    from cordillera.serve import driver_service

    def broken(output, observation, pickled=False):
        raise KeyError("fault")

    monkeypatch.setattr(driver_service, "answer_of", broken)
    with (
        server() as address,
        grpc.insecure_channel(address) as channel,
        pytest.raises(AssertionError, match="INTERNAL"),
    ):
        fuzz(Target(channel), 5, 11)
