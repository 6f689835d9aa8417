"""How many of an array's lanes do useful work: folding pads channels, rows and taps, and a padded tap adds nothing."""

from bwnhw.array_block import Array
from bwnhw.blocks import Design, Window
from bwnhw.geometry import Geometry
from bwnhw.network import Conv, Topology


def valid_lanes(design: Design, topology: Topology) -> dict[str, float]:
    """Per stage with an array the share of its XNORs, over all beats of an image, that a weight and an activation of the map meet in."""
    shares = {}
    for stage in design.stages:
        node = topology.nodes[stage.nodes[0]]
        if stage.array and stage.window and isinstance(node, Conv):
            shares[stage.name] = _share(node, topology.nodes[node.src[0]].out.channels, stage.window, stage.array)
    return shares


def _share(conv: Conv, channels: int, window: Window, array: Array) -> float:
    weight_bits = conv.out.channels * channels * window.weight_planes
    useful = weight_bits * window.bits * _taps_inside(window.geometry)
    beats = len(window.geometry.need) * window.groups * window.group_beats
    return useful / (beats * array.pe * array.lanes * array.planes)


def _taps_inside(geometry: Geometry) -> int:
    """Taps that lie in the map, summed over the output pixels."""
    inside = geometry.class_masks.sum(axis=(1, 2))
    return int(inside[geometry.class_of].sum())
