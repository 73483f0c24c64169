"""A trained network in the form that other runtimes take best: what evaluation makes constant is worked out beforehand.

Works on the graph of `torch.export` for one size of input and keeps its numbers, to rounding:

    dropouts                                           vanish
    what stands on constants alone                     is a constant
    batch norm behind a convolution (and mean pools)   goes into the convolution's weights
    any other batch norm                               is one product and one sum
    mean over k × k cells behind a convolution         is a convolution with a stride of k
    softmax over another axis than the last            is one over the last, between two transpositions
    maximum over frames                                is a pooling
    ReLU behind a maximum pool                         comes before it, next to its convolution

The last three and the sums that vanish matter for 8 bits, which have operators for those forms only, and of which each
operator costs some.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import fx, nn
from torch._dynamo.exc import TorchDynamoException

from earnest.errors import BundleError

Aten = torch.ops.aten
CONVOLUTIONS = (Aten.conv1d.default, Aten.conv2d.default)
MEAN_POOLS = (Aten.avg_pool1d.default, Aten.avg_pool2d.default)
DROPOUTS = (Aten.dropout.default, Aten.feature_dropout.default)
LARGEST_CONSTANT = 1 << 20  # numbers; larger ones would make the file grow


def fold(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> fx.GraphModule:
    """The module for inputs of the examples' sizes, as a graph in which nothing is left to fold.

    Parameters
    ----------
    module : in evaluation mode.
    examples : its inputs.

    Raises
    ------
    BundleError : torch.export cannot trace the module.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = torch.export.export(module, examples).module()
        except (TorchDynamoException, RuntimeError, TypeError) as problem:
            raise BundleError(
                f"torch.export cannot trace this network: {str(problem).strip().partition(chr(10))[0]}"
            ) from problem
        for node in graph.graph.find_nodes(op="call_module", target="_guards_fn"):
            graph.graph.erase_node(node)
        for step in (_constants, _batch_norms, _mean_pools, _softmaxes, _maxima, _rectifiers):
            for node in [node for node in graph.graph.nodes if node.op == "call_function"]:
                step(graph, node)
        graph.graph.eliminate_dead_code()
        _own(graph)
        graph.recompile()
        graph.delete_all_unused_submodules()
    return graph


def _constants(graph: fx.GraphModule, node: fx.Node) -> None:
    """Dropouts, and operators on constants."""
    if node.target in DROPOUTS:
        _replace(graph, node, _argument(node, 0))
        return
    found = node.meta.get("val")
    fixed = all(source.op == "get_attr" for source in node.all_input_nodes)
    if not fixed or not isinstance(found, torch.Tensor) or found.numel() > LARGEST_CONSTANT:
        return
    arguments = fx.node.map_arg(node.args, lambda source: _value(graph, source))
    options = fx.node.map_arg(node.kwargs, lambda source: _value(graph, source))
    _replace(graph, node, _constant(graph, node, "value", node.target(*arguments, **options)))  # type: ignore[operator]


def _batch_norms(graph: fx.GraphModule, node: fx.Node) -> None:
    """y = x · scale + shift, into the convolution that x comes from."""
    if node.target is not Aten.batch_norm.default:
        return
    weight, bias, mean, variance = (_value(graph, _argument(node, place)) for place in (1, 2, 3, 4))
    scale = (1 if weight is None else weight) / (variance + _argument(node, 7)).sqrt()
    shift = -mean * scale if bias is None else bias - mean * scale
    source = _argument(node, 0)
    while _only(source, MEAN_POOLS) and not _padded(source):
        source = _argument(source, 0)
    if _only(source, CONVOLUTIONS):
        weights, offset = _value(graph, _argument(source, 1)), _value(graph, _argument(source, 2))
        widened = scale.reshape(-1, *[1] * (weights.ndim - 1))
        _reweigh(graph, source, weights * widened, shift if offset is None else offset * scale + shift)
        _replace(graph, node, _argument(node, 0))
        return
    shape = (1, -1, *[1] * (node.meta["val"].ndim - 2))
    product = _call(
        graph, node, Aten.mul.Tensor, _argument(node, 0), _constant(graph, node, "scale", scale.reshape(shape))
    )
    _replace(
        graph, node, _call(graph, node, Aten.add.Tensor, product, _constant(graph, node, "shift", shift.reshape(shape)))
    )


def _mean_pools(graph: fx.GraphModule, node: fx.Node) -> None:
    """The mean of k × k neighbours of a convolution: each weight is spread over k × k places, divided by k²."""
    if node.target is not Aten.avg_pool2d.default or len(node.args) > 3 or node.kwargs:
        return
    source, cells = _argument(node, 0), list(_argument(node, 1))
    stride = list(_argument(node, 2) or cells)
    if not _only(source, (Aten.conv2d.default,)) or stride != cells:
        return
    if _argument(source, 3, [1, 1]) != [1, 1] or _argument(source, 5, [1, 1]) != [1, 1]:
        return
    weights = _value(graph, _argument(source, 1))
    planes = weights.reshape(-1, 1, *weights.shape[2:])
    box = torch.full((1, 1, *cells), 1 / (cells[0] * cells[1]), dtype=weights.dtype)
    spread = torch.conv2d(planes, box, padding=(cells[0] - 1, cells[1] - 1))
    if spread.numel() > 2 * weights.numel():
        return
    _reweigh(graph, source, spread.reshape(*weights.shape[:2], *spread.shape[2:]), _value(graph, _argument(source, 2)))
    rest = [_argument(source, place, default) for place, default in ((4, [0, 0]), (5, [1, 1]), (6, 1))]
    source.args = (*source.args[:3], cells, *rest)
    _replace(graph, node, source)


def _softmaxes(graph: fx.GraphModule, node: fx.Node) -> None:
    """Softmax over the last axis only."""
    if node.target is not Aten.softmax.int:
        return
    source, axis = _argument(node, 0), _argument(node, 1)
    last = node.meta["val"].ndim - 1
    if axis in (last, -1):
        return
    turned = _call(graph, node, Aten.softmax.int, _call(graph, node, Aten.transpose.int, source, axis, last), last)
    _replace(graph, node, _call(graph, node, Aten.transpose.int, turned, axis, last))


def _maxima(graph: fx.GraphModule, node: fx.Node) -> None:
    """The largest over the middle axis of (batch, frames, dim): a pooling over a column of pixels."""
    if node.target is not Aten.amax.default or _argument(node, 1, []) not in ([1], [-2]) or _argument(node, 2, False):
        return
    source = _argument(node, 0)
    if source.meta["val"].ndim != 3:
        return
    image = _call(graph, node, Aten.unsqueeze.default, _call(graph, node, Aten.transpose.int, source, 1, 2), 3)
    pooled = _call(graph, node, Aten.max_pool2d.default, image, [source.meta["val"].shape[1], 1])
    _replace(graph, node, _call(graph, node, Aten.flatten.using_ints, pooled, 1))


def _rectifiers(graph: fx.GraphModule, node: fx.Node) -> None:
    """relu(max_pool(convolution)) as max_pool(relu(convolution)), the same numbers."""
    if node.target is not Aten.relu.default:
        return
    pool = _argument(node, 0)
    if not _only(pool, (Aten.max_pool2d.default,)) or not _only(_argument(pool, 0), CONVOLUTIONS):
        return
    rectified = _call(graph, pool, Aten.relu.default, _argument(pool, 0))
    pool.args = (rectified, *pool.args[1:])
    _replace(graph, node, pool)


def _only(node: Any, targets: tuple[Any, ...]) -> bool:
    """Whether a value is made by one of these operators and used once."""
    return isinstance(node, fx.Node) and node.target in targets and len(node.users) == 1


def _padded(pool: fx.Node) -> bool:
    """Whether a mean pool counts cells outside of its input, whose shift would be lost."""
    padding = _argument(pool, 3, 0)
    return any(padding) if isinstance(padding, list | tuple) else bool(padding)


def _argument(node: fx.Node, place: int, default: Any = None) -> Any:
    return node.args[place] if len(node.args) > place else default


def _value(graph: fx.GraphModule, node: Any) -> Any:
    """The number behind a constant, in float64 where it is a floating one."""
    if not isinstance(node, fx.Node):
        return node
    value: Any = graph
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value.detach().double() if value.is_floating_point() else value.detach()


def _own(graph: fx.GraphModule) -> None:
    """Only the constants that are used, each in memory of its own: torch.export.save (2.13) mixes up those of views."""
    used = {str(node.target) for node in graph.graph.find_nodes(op="get_attr")}
    for name, value in [*graph.named_parameters(), *graph.named_buffers()]:
        if name in used:
            value.data = value.detach().clone(memory_format=torch.contiguous_format)
        else:
            place, _, leaf = name.rpartition(".")
            delattr(graph.get_submodule(place), leaf)


def _constant(graph: fx.GraphModule, before: fx.Node, name: str, value: torch.Tensor) -> fx.Node:
    """A new constant in the place of, or as an input to, a node."""
    place = f"folded_{before.name}_{name}"
    graph.register_buffer(place, value.float().contiguous() if value.is_floating_point() else value.contiguous())
    with graph.graph.inserting_before(before):
        node = graph.graph.get_attr(place)
    node.meta = {"val": graph.get_buffer(place)}
    return node


def _call(graph: fx.GraphModule, before: fx.Node, target: Any, *arguments: Any) -> fx.Node:
    """A new operator in front of a node, belonging to the same module; the last one of several has the node's size."""
    with graph.graph.inserting_before(before):
        node = graph.graph.call_function(target, arguments)
    node.meta = dict(before.meta)
    return node


def _reweigh(graph: fx.GraphModule, convolution: fx.Node, weights: torch.Tensor, bias: torch.Tensor | None) -> None:
    first, *rest = convolution.args[:1] + convolution.args[3:]
    new = [_constant(graph, convolution, "weight", weights)]
    new.append(None if bias is None else _constant(graph, convolution, "bias", bias))  # type: ignore[arg-type]
    convolution.args = (first, *new, *rest)


def _replace(graph: fx.GraphModule, node: fx.Node, by: Any) -> None:
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)
