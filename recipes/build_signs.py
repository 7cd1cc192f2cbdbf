"""The npm package mapillary_sprite_source 1.8.0 (MIT) -> the sign atlas in src/cordillera/assets/signs.

npm pack mapillary_sprite_source@1.8.0 && tar xzf mapillary_sprite_source-1.8.0.tgz
pip install resvg-py==0.5.0
python recipes/build_signs.py package/package_signs
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import resvg_py
from PIL import Image

PX, COLUMNS = 64, 16
TARGET = Path(__file__).resolve().parents[1] / "src" / "cordillera" / "assets" / "signs"
EUROPE = [
    f"regulatory--maximum-speed-limit-{v}--g1" for v in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130)
]
AMERICA = [f"regulatory--maximum-speed-limit-{v}--g{g}" for v, g in (
    (10, 3), (15, 3), (20, 3), (25, 2), (30, 3), (35, 2), (40, 3), (45, 3), (50, 3), (55, 2), (60, 3), (65, 2), (70, 3),
    (75, 2), (80, 3), (90, 3))]  # fmt: skip
OTHERS = [
    "regulatory--stop--g1",
    "regulatory--stop--g2",
    "regulatory--yield--g1",
    "regulatory--priority-road--g1",
    "regulatory--no-entry--g1",
    "regulatory--keep-right--g1",
    "regulatory--keep-left--g1",
    "regulatory--roundabout--g1",
    "regulatory--one-way-straight--g1",
    "regulatory--one-way-left--g3",
    "regulatory--no-parking--g1",
    "regulatory--turn-right-ahead--g1",
    "regulatory--turn-left-ahead--g1",
    "regulatory--go-straight--g1",
    "regulatory--bicycles-only--g1",
    "regulatory--no-overtaking--g1",
    "regulatory--end-of-maximum-speed-limit-30--g1",
    "information--pedestrians-crossing--g1",
    "information--pedestrians-crossing--g2",
    "information--parking--g1",
    "information--bus-stop--g1",
    "warning--children--g1",
    "warning--children--g2",
    "warning--pedestrians-crossing--g1",
    "warning--pedestrians-crossing--g4",
    "warning--roadworks--g1",
    "warning--roadworks--g9",
    "warning--roadworks--g2",
    "warning--traffic-signals--g1",
    "warning--traffic-signals--g2",
    "warning--curve-left--g1",
    "warning--curve-right--g1",
    "warning--curve-left--g2",
    "warning--curve-right--g2",
    "warning--roundabout--g1",
    "warning--slippery-road-surface--g1",
    "warning--road-narrows--g1",
    "warning--crossroads--g1",
    "warning--crossroads--g3",
    "warning--other-danger--g1",
    "warning--other-danger--g3",
    "warning--wild-animals--g1",
    "warning--wild-animals--g3",
    "warning--stop-ahead--g5",
    "warning--yield-ahead--g1",
]


def picture(path: Path) -> Image.Image:
    """An SVG file -> 64 x 64 RGBA, drawn large and reduced, centred, its longer side filling the square."""
    drawn = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=512)))).convert("RGBA")
    drawn = drawn.crop(drawn.getbbox())
    scale = PX / max(drawn.size)
    small = drawn.resize(
        (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))), Image.Resampling.LANCZOS
    )
    out = Image.new("RGBA", (PX, PX))
    out.paste(small, ((PX - small.width) // 2, (PX - small.height) // 2))
    return out


def main(folder: Path) -> None:
    names = EUROPE + AMERICA + OTHERS
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * PX, rows * PX))
    for k, name in enumerate(names):
        sheet.paste(picture(folder / f"{name}.svg"), (k % COLUMNS * PX, k // COLUMNS * PX))
    TARGET.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET / "signs.png", optimize=True)
    (TARGET / "signs.json").write_text(json.dumps(names, indent=0) + "\n")
    (TARGET / "LICENSE.txt").write_text((folder.parent / "LICENSE").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
