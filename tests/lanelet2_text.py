"""Small Lanelet2 maps as text, in local coordinates, for the tests."""

from __future__ import annotations


class Sketch:
    """Collects nodes, ways, lanelets and elements of a map; `text` is the file."""

    def __init__(self, **node_tags: str) -> None:
        self.nodes: dict[tuple[float, float], str] = {}
        self.parts: list[str] = []
        self.node_tags = node_tags
        self.count = 0

    def _id(self) -> str:
        self.count += 1
        return str(self.count)

    def node(self, x: float, y: float) -> str:
        """The id of the node at a place, made when new."""
        if (x, y) not in self.nodes:
            name = self.nodes[x, y] = self._id()
            tags = {"local_x": x, "local_y": y, "ele": 1.0, **self.node_tags}
            self.parts.append(f'<node id="{name}">{_tags(tags)}</node>')
        return self.nodes[x, y]

    def way(self, *points: tuple[float, float], **tags: str) -> str:
        """A way through points; keyword `type` is its type, and so on ("_" stands for ":")."""
        refs = [self.node(*point) for point in points]
        name = self._id()
        inner = "".join(f'<nd ref="{ref}"/>' for ref in refs)
        self.parts.append(f'<way id="{name}">{inner}{_tags(tags)}</way>')
        return name

    def relation(self, members: list[tuple[str, str, str]], **tags: str) -> str:
        """A relation of members (role, kind, ref)."""
        name = self._id()
        inner = "".join(f'<member role="{role}" type="{kind}" ref="{ref}"/>' for role, kind, ref in members)
        self.parts.append(f'<relation id="{name}">{inner}{_tags(tags)}</relation>')
        return name

    def lanelet(self, left: str, right: str, rules: tuple[str, ...] = (), **tags: str) -> str:
        members = [("left", "way", left), ("right", "way", right)]
        members += [("regulatory_element", "relation", rule) for rule in rules]
        return self.relation(members, **{"type": "lanelet", "subtype": "road", "location": "urban", **tags})

    def text(self) -> str:
        return f'<?xml version="1.0"?><osm>{"".join(self.parts)}</osm>'


def _tags(tags: dict) -> str:
    return "".join(f'<tag k="{key.replace("__", ":")}" v="{value}"/>' for key, value in tags.items())
