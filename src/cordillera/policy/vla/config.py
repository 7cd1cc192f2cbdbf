"""Sizes -> frozen configurations of the model: vision tower, text decoder, action expert, action space, prompt.

The presets are functions: `nano` (at most 12M parameters), `small` (about 150M), `edge` (2B) and `ten_b` (the released
10B). `PRESETS` names them for command lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower: patches of `temporal_patch_size` frames, merged `spatial_merge_size` squared to one token."""

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int  # must equal the text decoder's hidden size
    deepstack_visual_indexes: tuple[int, ...]  # blocks whose features enter the first text layers
    patch_size: int = 16
    temporal_patch_size: int = 2
    spatial_merge_size: int = 2
    num_position_embeddings: int = 2304  # a square grid, interpolated to the image's grid
    in_channels: int = 3
    hidden_act: str = "gelu_pytorch_tanh"

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch: channels x frames x height x width."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2


@dataclass(frozen=True)
class DecoderConfig:
    """A stack of decoder layers: the text decoder, or the action expert that reads its key-value cache."""

    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mrope_section: tuple[int, int, int]  # rotary pairs for time, height, width; they sum to head_dim / 2
    rope_theta: float = 5_000_000.0
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False

    def __post_init__(self) -> None:
        if sum(self.mrope_section) * 2 != self.head_dim:
            raise ValueError(f"mrope_section {self.mrope_section} must sum to head_dim / 2 = {self.head_dim // 2}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")


@dataclass(frozen=True)
class ActionSpaceConfig:
    """The unicycle action space: normalised (acceleration, curvature) pairs, and the weights of its inverse."""

    accel_mean: float = 0.02902694707164455
    accel_std: float = 0.6810426736454882
    curvature_mean: float = 0.0002692167976330542
    curvature_std: float = 0.026148280660833106
    accel_bounds: tuple[float, float] = (-9.8, 9.8)
    curvature_bounds: tuple[float, float] = (-0.33, 0.33)
    dt: float = 0.1
    n_waypoints: int = 64
    theta_lambda: float = 1e-6
    theta_ridge: float = 1e-8
    v_lambda: float = 1e-6
    v_ridge: float = 1e-4
    a_lambda: float = 1e-4
    a_ridge: float = 1e-4
    kappa_lambda: float = 1e-4
    kappa_ridge: float = 1e-4


@dataclass(frozen=True)
class HistoryTokens:
    """Binning of position differences of the history: three tokens a pose, four with yaw."""

    ego_xyz_min: tuple[float, float, float] = (-4.0, -4.0, -10.0)
    ego_xyz_max: tuple[float, float, float] = (4.0, 4.0, 10.0)
    ego_yaw_min: float = -3.141592653589793
    ego_yaw_max: float = 3.141592653589793
    num_bins: int = 1000
    predict_yaw: bool = False


@dataclass(frozen=True)
class FutureTokens:
    """Binning of normalised actions of the future: two tokens a waypoint."""

    dims_min: tuple[float, float] = (-10.0, -7.0)
    dims_max: tuple[float, float] = (10.0, 7.0)
    num_bins: int = 3000
    action_space: ActionSpaceConfig = field(default_factory=ActionSpaceConfig)


@dataclass(frozen=True)
class ActionProjConfig:
    """How noisy actions and flow time enter the expert."""

    hidden_size: int = 512
    num_enc_layers: int = 2
    num_fourier_feats: int = 20
    max_freq: float = 100.0
    min_freq: float = 1.0  # the released model's; actions of several standard deviations are told apart by lower ones
    waypoints_per_token: int = 1  # 1 is the released layout; more share one token of the expert
    state: int = 0  # numbers of `state.plan_state` that enter the tokens too; 0 is the released layout


@dataclass(frozen=True)
class PromptConfig:
    """What the prompt holds and how large the images become."""

    min_pixels: int = 163_840
    max_pixels: int = 196_608
    history_poses: int = 16
    max_tokens: int = 8192  # a longer prompt is an error
    cameras: tuple[str, ...] = ()  # that are read of those that there are; () is all
    frames: int = 0  # of each camera, spread evenly from the newest to the oldest; 0 is all
    navigation: str = "text"  # the route's text, or "line": its geometry as tokens (see `navigation`)
    image_size: tuple[int, int] = (0, 0)  # width and height of the pictures it was trained on; (0, 0): not told

    def __post_init__(self) -> None:
        for name in ("cameras", "image_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list where it comes from JSON
        if self.navigation not in ("text", "line"):
            raise ValueError(f"navigation {self.navigation!r} is neither 'text' nor 'line'")


@dataclass(frozen=True)
class TokenIds:
    """Ids with a meaning in the fused vocabulary."""

    image: int
    vision_start: int
    pad: int
    eos: int
    history: int  # placeholder that the history tokens replace
    future_start: int
    cot_end: int
    route_start: int
    route_end: int
    answer_end: int


@dataclass(frozen=True)
class VlaConfig:
    """Everything that determines the model's shape and its meaning."""

    vision: VisionConfig
    text: DecoderConfig
    expert: DecoderConfig
    vocab_size: int
    ids: TokenIds
    traj_start: int  # id of <i0>
    traj_vocab_size: int
    tie_embeddings: bool = False
    action_space: ActionSpaceConfig = field(default_factory=ActionSpaceConfig)
    action_proj: ActionProjConfig = field(default_factory=ActionProjConfig)
    history_tokens: HistoryTokens = field(default_factory=HistoryTokens)
    future_tokens: FutureTokens = field(default_factory=FutureTokens)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    flow_steps: int = 10
    family: str = "cordillera"  # "alpamayo_r1", "alpamayo1_5" or "cordillera": names of the special tokens, layout

    def __post_init__(self) -> None:
        if self.vision.out_hidden_size != self.text.hidden_size:
            raise ValueError(f"vision out_hidden_size {self.vision.out_hidden_size} != text {self.text.hidden_size}")
        for name in ("num_kv_heads", "head_dim"):
            if getattr(self.text, name) != getattr(self.expert, name):
                raise ValueError(f"the expert reads the text decoder's cache, so {name} must be equal in both")
        if self.expert.num_layers > self.text.num_layers:
            raise ValueError("the expert has more layers than the text decoder's cache")
        if self.action_space.n_waypoints % self.action_proj.waypoints_per_token:
            raise ValueError("n_waypoints must be a multiple of waypoints_per_token")
        if len(self.vision.deepstack_visual_indexes) > self.text.num_layers:
            raise ValueError("more deepstack features than text layers")

    @property
    def history_start(self) -> int:
        """Id of the first history token: history tokens follow the future tokens."""
        return self.traj_start + self.future_tokens.num_bins

    @property
    def history_count(self) -> int:
        """Tokens of the history in the prompt."""
        return self.prompt.history_poses * (4 if self.history_tokens.predict_yaw else 3)

    @property
    def action_tokens(self) -> int:
        """Tokens that the expert works on."""
        return self.action_space.n_waypoints // self.action_proj.waypoints_per_token


def ids_of_layout(special: int, image: int, vision_start: int, pad: int, eos: int) -> TokenIds:
    """Where the named tokens stand, given the first special token's id and the backbone's own ids.

    The special tokens follow the trajectory tokens in one fixed order (`tokenizer.SPECIAL_TOKENS`).
    """
    return TokenIds(
        image=image,
        vision_start=vision_start,
        pad=pad,
        eos=eos,
        history=special + 15,
        future_start=special + 12,
        cot_end=special + 9,
        route_start=special + 21,
        route_end=special + 23,
        answer_end=special + 27,
    )


def ten_b() -> VlaConfig:
    """The released 10B: Qwen3-VL-8B's shape, an expert of 2.3B, 4,000 trajectory tokens."""
    text = DecoderConfig(36, 4096, 12288, 32, 8, 128, (24, 20, 20))
    return VlaConfig(
        vision=VisionConfig(27, 1152, 4304, 16, 4096, (8, 16, 24)),
        text=text,
        expert=replace(text, hidden_size=2048, num_heads=16, intermediate_size=8256),
        vocab_size=155_697,
        ids=ids_of_layout(155_669, image=151_655, vision_start=151_652, pad=151_643, eos=151_645),
        traj_start=151_669,
        traj_vocab_size=4000,
        family="alpamayo1_5",
    )


def edge() -> VlaConfig:
    """About 2B for an embedded GPU: Qwen3-VL-2B's shape with a narrow expert, embeddings tied."""
    text = DecoderConfig(28, 2048, 6144, 16, 8, 128, (24, 20, 20))
    return replace(
        ten_b(),
        vision=VisionConfig(24, 1024, 4096, 16, 2048, (5, 11, 17)),
        text=text,
        expert=replace(text, hidden_size=768, num_heads=8, intermediate_size=1536),
        tie_embeddings=True,
        flow_steps=5,
        family="cordillera",
    )


STATE = 13  # `state.SIZE`
OWN_TEXT_TOKENS = 512  # bytes, prompt phrases and the words of the reasoning grammar, with room to grow


def _own(vision: VisionConfig, text: DecoderConfig, expert: DecoderConfig, pixels: int, per_token: int) -> VlaConfig:
    """Parts -> a configuration with the project's small vocabulary (see `tokenizer.build_tokenizer`)."""
    base, bins = OWN_TEXT_TOKENS, 256
    return VlaConfig(
        vision=vision,
        text=text,
        expert=expert,
        vocab_size=base + 7 + 2 * bins + 28,
        ids=ids_of_layout(base + 7 + 2 * bins, image=base + 5, vision_start=base + 3, pad=base + 1, eos=base),
        traj_start=base + 7,
        traj_vocab_size=2 * bins,
        tie_embeddings=True,
        action_proj=ActionProjConfig(
            hidden_size=192, max_freq=4.0, min_freq=0.04, waypoints_per_token=per_token, state=STATE
        ),
        history_tokens=HistoryTokens(num_bins=bins),
        future_tokens=FutureTokens(num_bins=bins),
        prompt=PromptConfig(min_pixels=pixels // 2, max_pixels=pixels, max_tokens=2048),
        flow_steps=5,
    )


def nano() -> VlaConfig:
    """At most 12M parameters, for two CPU cores: 28 tokens an image, four waypoints an action token."""
    text = DecoderConfig(6, 256, 768, 4, 2, 64, (12, 10, 10))
    return _own(
        vision=VisionConfig(4, 192, 768, 3, 256, (1,), num_position_embeddings=256),
        text=text,
        expert=replace(text, hidden_size=192, intermediate_size=512),
        pixels=28 * 1024,
        per_token=4,
    )


def small() -> VlaConfig:
    """About 150M parameters: 50 tokens an image, two waypoints an action token."""
    text = DecoderConfig(12, 768, 2304, 12, 4, 64, (12, 10, 10))
    return _own(
        vision=VisionConfig(8, 512, 2048, 8, 768, (2, 5), num_position_embeddings=576),
        text=text,
        expert=replace(text, hidden_size=384, num_heads=8, intermediate_size=1280),
        pixels=50 * 1024,
        per_token=2,
    )


PRESETS: dict[str, Callable[[], VlaConfig]] = {"nano": nano, "small": small, "edge": edge, "10b": ten_b}
