"""Specimen ONNX models of the shapes that YuNet and SFace have, made here. They know drawn squares, not people.

The detector takes each red square of 32 pixels for the middle of a face of 128; the recogniser's features are the
brightness of 128 cells of it. They show that pictures, models and scores go the right way, and say nothing about rates.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy
from onnx import TensorProto, helper
from PIL import Image

SIZE = 640


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "specimen", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return bytes(made.SerializeToString())


def _floats(name: str, shape: list[int], values: list[float]) -> Any:
    return helper.make_tensor(name, TensorProto.FLOAT, shape, values)


def _told(name: str, shape: list[int]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def detector() -> bytes:
    """Input ``input``; for each stride ``cls``, ``obj``, ``bbox``, ``kps``, as YuNet."""
    node = helper.make_node
    constants = [
        _floats("weights", [1, 3, 1, 1], [-1 / 255, -1 / 255, 1 / 255]),  # red alone
        helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
        _floats("zero", [1], [0.0]),
    ]
    nodes = [node("Mul", ["input", "weights"], ["w"]), node("ReduceSum", ["w", "channels"], ["red"], keepdims=1)]
    shapes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    box = [0.5, 0.5, math.log(4), math.log(4)]
    points = [-0.7, -0.3, 1.7, -0.3, 0.5, 0.6, -0.4, 1.5, 1.4, 1.5]
    for stride in (8, 16, 32):
        count, seen = (SIZE // stride) ** 2, f"relu{stride}"
        constants += [
            helper.make_tensor(f"shape{stride}", TensorProto.INT64, [3], [1, count, 1]),
            _floats(f"none{stride}", [1, count, 1], [0.0] * count),
            _floats(f"box{stride}", [1, 1, 4], box),
            _floats(f"points{stride}", [1, 1, 10], points),
        ]
        nodes += [
            node("AveragePool", ["red"], [f"pool{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            node("Relu", [f"pool{stride}"], [seen]),
        ]
        if stride != 32:
            nodes.append(node("Mul", [seen, "zero"], [f"off{stride}"]))
            seen = f"off{stride}"
        nodes += [
            node("Reshape", [seen, f"shape{stride}"], [f"cls_{stride}"]),
            node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            node("Add", [f"none{stride}", f"box{stride}"], [f"bbox_{stride}"]),
            node("Add", [f"none{stride}", f"points{stride}"], [f"kps_{stride}"]),
        ]
    outputs = [
        _told(f"{name}_{s}", [1, (SIZE // s) ** 2, width]) for name, width in shapes.items() for s in (8, 16, 32)
    ]
    return _model(nodes, [_told("input", [1, 3, SIZE, SIZE])], outputs, constants)


def recogniser(*, not_a_number: bool = False) -> bytes:
    """Input ``data``, output ``fc1`` of 128 features, as SFace. ``not_a_number``: features that are none."""
    node = helper.make_node
    constants = [
        _floats("weights", [1, 3, 1, 1], [1 / 3, 1 / 3, 1 / 3]),
        helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 128]),
        _floats("scale", [1], [math.nan if not_a_number else 1.0]),
    ]
    nodes = [
        node("Mul", ["data", "weights"], ["w"]),
        node("ReduceSum", ["w", "channels"], ["grey"], keepdims=1),
        node("AveragePool", ["grey"], ["cells"], kernel_shape=[14, 7], strides=[14, 7]),
        node("Reshape", ["cells", "shape"], ["flat"]),
        node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        node("Sub", ["flat", "mean"], ["centred"]),
        node("Mul", ["centred", "scale"], ["fc1"]),
    ]
    return _model(nodes, [_told("data", [1, 3, 112, 112])], [_told("fc1", [1, 128])], constants)


def portrait(*persons: int) -> bytes:
    """A JPEG with a drawn face for each number: a pattern of the number's own, with a red square in its middle."""
    pixels = numpy.full((SIZE, SIZE, 3), 90, numpy.uint8)
    for place, person in enumerate(persons):
        pattern = numpy.random.default_rng(person).integers(0, 255, (8, 8)).astype(numpy.uint8)
        left = 128 + 256 * place
        pixels[256:384, left - 0 : left + 128] = numpy.kron(pattern, numpy.ones((16, 16), numpy.uint8))[:, :, None]
        pixels[320:352, left + 64 : left + 96] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
