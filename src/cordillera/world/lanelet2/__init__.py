"""Lanelet2 maps (OSM-XML) -> `RoadMap`."""

from cordillera.world.lanelet2.osm import Lanelet2Error
from cordillera.world.lanelet2.reader import parse_lanelet2, read_lanelet2

__all__ = ["Lanelet2Error", "parse_lanelet2", "read_lanelet2"]
