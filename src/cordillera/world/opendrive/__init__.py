"""OpenDRIVE files -> `RoadMap`, tolerant of what files in the wild leave out."""

from cordillera.world.opendrive.reader import parse_opendrive, read_opendrive
from cordillera.world.opendrive.source import OpenDriveError

__all__ = ["OpenDriveError", "parse_opendrive", "read_opendrive"]
