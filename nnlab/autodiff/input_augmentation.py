"""Which boxes of augmentation stand before a network, for the strengths of an experiment."""

from __future__ import annotations

import math

from nnlab.autodiff.augmentation import Augmentation, Cutout, Noise, RandomFlip, RandomShift
from nnlab.autodiff.graph import Graph
from nnlab.errors import UserError, nearest

OF_STRENGTH = {  # the box, and the name of its node; noise comes last: it is not moved, nor cut out
    "shift": (RandomShift, "input_shift"),
    "flip": (RandomFlip, "input_flip"),
    "cutout": (Cutout, "input_cutout"),
    "input_noise": (Noise, "input_noise"),
}


def augmentation_boxes(
    strengths, graph: Graph, shape: tuple[int, ...], numbers: int
) -> dict[str, Augmentation]:
    """The boxes with these strengths for the input of a graph, by the names of their nodes; without those
    that it has itself.

    shape    of an example: the graph may read it as a vector
    numbers  how many inputs are numbers; they come first
    """
    present = {type(node.box) for node in graph.nodes}
    image = shape if len(graph.nodes[graph.input].shape) == 1 < len(shape) else ()
    boxes = {}
    for strength in strengths:
        if strength not in list(OF_STRENGTH):  # a list is compared, not hashed
            raise UserError(f"augmentations has {strength!r}{nearest(strength, OF_STRENGTH)}")
        box, name = OF_STRENGTH[strength]
        if box is Noise:
            boxes[name] = Noise(numbers=numbers if numbers < math.prod(shape) else None)
        else:
            boxes[name] = box(image=image)
    return {name: box for name, box in boxes.items() if type(box) not in present}
