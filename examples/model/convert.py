#!/usr/bin/env python3
"""Writes torchvision's MobileNetV2 as an ONNX file. It needs numpy and onnx, not torch; it must not know who runs the file.

    convert.py WEIGHTS.pth MODEL.onnx

The .pth is what torch.save wrote before its version 1.6: five pickles (a magic number, the version, facts about the
machine, a dictionary from names to tensors, the keys of the storages) and then each storage, as its length and its
numbers. A pickle may name any function of any module and have it called. This reader knows the four names that stand in
such a file, gives each a harmless meaning of its own, and refuses all others.

What is written is the network as it is used, not as it was trained: the batch normalisation behind each convolution is
multiplied into its weights, ReLU6 is a Clip, dropout is gone, and a softmax makes probabilities of the scores. The same
input gives the same bytes.
"""

import collections
import math
import pickle
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001

Tensor = collections.namedtuple("Tensor", "storage offset shape strides")
Storage = collections.namedtuple("Storage", "key type length")


def rebuild_tensor(storage, offset, shape, strides, *_):
    return Tensor(storage, offset, shape, strides)


class Unpickler(pickle.Unpickler):
    """Builds dictionaries and descriptions of tensors, and nothing else."""

    GLOBALS = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch", "FloatStorage"): numpy.dtype("<f4"),
        ("torch", "LongStorage"): numpy.dtype("<i8"),
    }

    def find_class(self, module, name):
        try:
            return self.GLOBALS[module, name]
        except KeyError:
            message = f"the file wants {module}.{name}, which no file of weights needs: not loaded"
            raise pickle.UnpicklingError(message) from None

    def persistent_load(self, pid):
        kind, dtype, key, _location, length, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"the file wants an object of kind {kind!r}: not loaded")
        return Storage(key, dtype, length)


def read_weights(path):
    """The tensors of a .pth file: a dictionary from names to arrays."""
    with open(path, "rb") as file:
        magic, version, machine, tensors, keys = (Unpickler(file).load() for _ in range(5))
        if magic != MAGIC or version != VERSION or not machine["little_endian"]:
            raise ValueError(f"{path} is no file that torch.save wrote on a little-endian machine before version 1.6")
        storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        numbers = {}
        for key in keys:
            dtype, expected = storages[key].type, storages[key].length
            length = int.from_bytes(file.read(8), "little")
            content = file.read(length * dtype.itemsize)
            if length != expected or len(content) != length * dtype.itemsize:
                raise ValueError(f"{path}: the storage {key} has {length} numbers, not {expected}, or the file is cut")
            numbers[key] = numpy.frombuffer(content, dtype)
    return {name: array_of(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def array_of(tensor, numbers):
    strides = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape)))
    if tuple(tensor.strides) != strides:
        raise ValueError(f"a tensor of shape {tensor.shape} has strides {tensor.strides}: only dense ones are read")
    size = math.prod(tensor.shape)
    return numbers[tensor.offset : tensor.offset + size].reshape(tensor.shape)


class Network:
    """The graph as it grows: each method adds nodes behind `last` and moves on."""

    # The network's input: one image, its three colours, normalised as for all models of torchvision.
    INPUT, OUTPUT, SIDE, CLASSES = "image", "probabilities", 224, 1000

    def __init__(self, weights):
        self.weights = weights
        self.nodes, self.constants = [], []
        self.last = self.INPUT
        self.zero = self.constant("zero", numpy.array(0, numpy.float32))
        self.six = self.constant("six", numpy.array(6, numpy.float32))

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(array, numpy.float32), name))
        return name

    def add(self, operator, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(operator, [self.last, *inputs], [name], name, **attributes))
        self.last = name

    def convolution(self, convolution, normalisation, stride=1, groups=1):
        """A convolution and the batch normalisation behind it, as one convolution."""
        take = lambda name: self.weights[f"{normalisation}.{name}"].astype(numpy.float64)
        weight = self.weights[f"{convolution}.weight"].astype(numpy.float64)
        # torch.nn.BatchNorm2d adds 1e-5 to the variance.
        scale = take("weight") / numpy.sqrt(take("running_var") + 1e-5)
        bias = take("bias") - take("running_mean") * scale
        side = weight.shape[-1]
        self.add(
            "Conv",
            convolution,
            self.constant(f"{convolution}.weight", weight * scale[:, None, None, None]),
            self.constant(f"{convolution}.bias", bias),
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[side // 2] * 4,
            group=groups,
        )

    def relu6(self):
        self.add("Clip", f"{self.last}.relu6", self.zero, self.six)

    def block(self, prefix, stride, expands):
        """An inverted residual: widen, convolve each channel by itself, narrow, and add what came in if it fits."""
        before, channels = self.last, self.weights[f"{prefix}.conv.0.0.weight"].shape[1 if expands else 0]
        if expands:
            self.convolution(f"{prefix}.conv.0.0", f"{prefix}.conv.0.1")
            self.relu6()
        deep = 1 if expands else 0
        depthwise, pointwise = f"{prefix}.conv.{deep}", f"{prefix}.conv.{deep + 1}"
        groups = self.weights[f"{depthwise}.0.weight"].shape[0]
        self.convolution(f"{depthwise}.0", f"{depthwise}.1", stride, groups)
        self.relu6()
        self.convolution(pointwise, f"{prefix}.conv.{deep + 2}")
        if stride == 1 and channels == self.weights[f"{pointwise}.weight"].shape[0]:
            self.add("Add", f"{prefix}.add", before)

    def model(self):
        graph = helper.make_graph(
            self.nodes,
            "MobileNetV2",
            [helper.make_tensor_value_info(self.INPUT, TensorProto.FLOAT, [1, 3, self.SIDE, self.SIDE])],
            [helper.make_tensor_value_info(self.OUTPUT, TensorProto.FLOAT, [1, self.CLASSES])],
            self.constants,
        )
        opset = helper.make_opsetid("", 13)
        return helper.make_model(graph, producer_name="gatebridge", opset_imports=[opset], ir_version=8)


# The rows of table 2 of the paper (Sandler and others, 2018): how often a block is repeated, and its first stride.
BLOCKS = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)]


def mobilenet_v2(weights):
    network = Network(weights)
    network.convolution("features.0.0", "features.0.1", stride=2)
    network.relu6()
    index = 1
    for count, first_stride in BLOCKS:
        for number in range(count):
            network.block(f"features.{index}", first_stride if number == 0 else 1, expands=index > 1)
            index += 1
    network.convolution(f"features.{index}.0", f"features.{index}.1")
    network.relu6()
    network.add("GlobalAveragePool", "pool")
    network.add("Flatten", "features", axis=1)
    scores = network.constant("classifier.weight", weights["classifier.1.weight"])
    network.add("Gemm", "scores", scores, network.constant("classifier.bias", weights["classifier.1.bias"]), transB=1)
    network.add("Softmax", network.OUTPUT, axis=1)
    return network.model()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: convert.py WEIGHTS.pth MODEL.onnx")
    model = mobilenet_v2(read_weights(sys.argv[1]))
    onnx.checker.check_model(model, full_check=True)
    with open(sys.argv[2], "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
