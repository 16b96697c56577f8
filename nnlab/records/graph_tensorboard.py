"""A graph as TensorBoard's Graphs tab reads it."""

from __future__ import annotations

import re

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from nnlab.errors import visible
from nnlab.records.graph_nodes import ShownGraph, ShownNode

BATCH = -1  # a size that is shown as ?


def graph_def(graph: ShownGraph) -> GraphDef:
    """The nodes with their boxes, inputs and shapes; a box and its leaves are in one group, `hidden1`."""
    return GraphDef(node=[_node_def(node) for node in graph.nodes])


def _node_def(node: ShownNode) -> NodeDef:
    attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=[_shape(node)]))}
    texts = {"settings": node.settings, "formula": node.formula}
    attributes |= {key: AttrValue(s=visible(text).encode()) for key, text in texts.items() if text}
    counts = {"parameters": node.parameters, "multiply_adds": node.multiply_adds}
    attributes |= {key: AttrValue(i=count) for key, count in counts.items() if count}
    return NodeDef(
        name=_name(node.name), op=node.box or node.kind, input=map(_name, node.reads), attr=attributes
    )


def _shape(node: ShownNode) -> TensorShapeProto:
    sizes = (*node.shape, BATCH) if node.per_example else node.shape
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def _name(name: str) -> str:
    """A name in TensorBoard's letters: slashes make groups."""
    return re.sub(r"[^\w./-]", "_", visible(name)).replace(".", "/")
