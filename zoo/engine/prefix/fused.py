"""The frozen part in fewer passes over memory: convolutions do what follows them as they write.

On a processor with bf16 a convolution is over so quickly that the passes behind it (bias, residual
sum, activation, casting and laying out weights) take as long. oneDNN does them within the
convolution; torch has that as operators of its own, for its compiler. They are used here without
compiling anything: the body is recorded with :mod:`torch.fx`, convolutions and what follows them
are replaced, and where the operators are not there, the body cannot be recorded or the numbers are
more than half again as far from those in fp32 as they are without, it runs as it is.

A sum is rounded to bf16 once instead of twice, so outputs differ from the plain form by rounding.
Where the processor has matrix units, narrow maps are laid side by side besides
(:mod:`zoo.engine.prefix.abreast`), which changes no number.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, TypeGuard, final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from zoo.engine.prefix.abreast import has_tiles, lay_abreast
from zoo.engine.prefix.tail import ReachedError

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED: Final[dict[Any, tuple[str, tuple[float, ...]]]] = {
    nn.ReLU: ("relu", ()),
    nn.ReLU6: ("hardtanh", (0.0, 6.0)),
    nn.Hardswish: ("hardswish", ()),
    nn.SiLU: ("swish", ()),
    functional.relu: ("relu", ()),
    torch.relu: ("relu", ()),
    torch.relu_: ("relu", ()),
    functional.relu6: ("hardtanh", (0.0, 6.0)),
    functional.hardswish: ("hardswish", ()),
    functional.silu: ("swish", ()),
    "relu": ("relu", ()),
    "relu_": ("relu", ()),
}
"""What may follow a convolution, and oneDNN's name for it with its numbers."""
_SUMS: Final = (operator.add, operator.iadd, torch.add)
_FURTHER: Final = 1.5
"""How much further from fp32 than without fusing its numbers may be; rounding is chance."""


def fused(body: nn.Module, images: Tensor) -> nn.Module | None:
    """A body whose convolutions do what follows them, tried out on images.

    Args:
        body: Images (N, C, H, W) to the tensor at the cut, which it raises
            (:class:`zoo.engine.prefix.tail.ReachedError`), in eval mode and under bf16 autocast.
        images: Normalised images (N, C, H, W) to try it on.

    Returns:
        Images (N, C, H, W) to the tensor at the cut (N, ...), computed in bf16 wherever there are
        convolutions; ``None`` where there is nothing to fuse or it cannot be done.
    """
    if not _there():
        return None
    whole = _Whole(body)
    return _tried(whole, images, beside=has_tiles())


def _tried(whole: nn.Module, images: Tensor, *, beside: bool) -> nn.Module | None:
    """What is recorded of a body, fused, if its numbers hold: with maps side by side, or without."""
    try:
        made = _made(whole, images, beside=beside)
        if made is None:
            return None
        plain, other = whole(images), made(images)
        with torch.autocast(images.device.type, enabled=False):
            exact = whole(images)
        holds = _near(plain, other, exact)
    except Exception:  # any model's forward, run on proxies; operators that come without a promise
        holds = False
    if holds:
        return made
    return _tried(whole, images, beside=False) if beside else None


def _made(whole: nn.Module, images: Tensor, *, beside: bool) -> fx.GraphModule | None:
    """Record a body and fuse its convolutions; ``None`` if there is nothing to fuse."""
    made = fx.GraphModule(whole, fx.Tracer().trace(whole))
    made.training = False  # of itself alone: its layers are the model's
    fusing = _Fusing(made)
    if not fusing.run():
        return None
    if beside:
        lay_abreast(made, fusing.convs(), images)
    made.recompile()
    return made


def _near(plain: Tensor, other: Tensor, exact: Tensor) -> bool:
    """Whether ``other`` is about as near to what fp32 gives as the plain form is, all (N, ...)."""
    if other.shape != plain.shape or other.dtype != plain.dtype:
        return False
    if other.stride() != plain.stride():
        return False
    far, farther = (float((t.float() - exact).norm()) for t in (plain, other))
    return farther <= _FURTHER * far + 1e-6 * float(exact.norm())


def _there() -> bool:
    """Whether this torch has the operators, and they may be used."""
    names = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    return bool(torch.backends.mkldnn.enabled) and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )


@final
class _Whole(nn.Module):
    """Gives what the body raises."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Any:
        """Images (N, C, H, W) to the tensor at the cut."""
        try:
            return self.body(images)
        except ReachedError as reached:
            return reached.value


@final
class FusedConv(nn.Module):
    """A convolution in bf16 that adds another tensor and applies an activation as it writes.

    Args:
        conv: The convolution; its weights are laid out anew for the largest batch so far.
        name: oneDNN's name of the activation, or ``none``.
        numbers: Its numbers.
        spend: Whether the sum may be written where the other tensor is.
    """

    conv: nn.Conv2d

    def __init__(
        self, conv: nn.Conv2d, name: str, numbers: tuple[float, ...], *, spend: bool = False
    ) -> None:
        super().__init__()
        self.__dict__["conv"] = conv  # not a child: it belongs to the model
        self.name, self.numbers, self.spend = name, list(numbers), spend
        padding, stride, dilation = conv.padding, conv.stride, conv.dilation
        assert not isinstance(padding, str)
        self.shape = (list(padding), list(stride), list(dilation), conv.groups)
        self._most = 0
        self._packed: Tensor | None = None
        self._bias: Tensor | None = None

    def forward(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and what is added to the result to (N, K, H', W'), in bf16."""
        images = images.to(torch.bfloat16)
        ops = torch.ops.mkldnn
        if len(images) > self._most:  # how weights are best laid out depends on how much there is
            self._most = len(images)
            weight, bias = self.conv.weight.detach(), self.conv.bias
            weight = weight.to(torch.bfloat16)
            self._packed = ops._reorder_convolution_weight(weight, *self.shape, list(images.shape))
            self._bias = None if bias is None else bias.detach().to(torch.bfloat16)
        given = (self._packed, self._bias, *self.shape)
        if other is None:
            found: Tensor = ops._convolution_pointwise(
                images, *given, self.name, self.numbers, None
            )
            return found
        after = (None, [], None) if self.name == "none" else (self.name, self.numbers, None)
        if self.spend and other.dtype == torch.bfloat16:
            found = ops._convolution_pointwise_.binary(other, images, *given, "add", 1.0, *after)
        else:
            found = ops._convolution_pointwise.binary(images, other, *given, "add", 1.0, *after)
        return found


@final
class HalvingPool(nn.Module):
    """The largest of 3 x 3 at every second place, of bf16 numbers that are not negative.

    Those are ordered as their bits are, as whole numbers, of which processors compare more at once;
    and no indices are written, as torch's own does. The same numbers as ``MaxPool2d(3, 2, 1)``.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, (H + 1) // 2, (W + 1) // 2)."""
        bits = maps.view(torch.int16)
        last = maps.is_contiguous(memory_format=torch.channels_last)
        count, channels, *sides = bits.shape
        found = torch.empty(
            (count, channels, *((side + 1) // 2 for side in sides)),
            dtype=torch.int16,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )
        for image, out in zip(bits, found, strict=True):  # one stays in the processor's cache
            _halve(_halve(image, 1), 2, out)
        return found.view(torch.bfloat16)


def _halve(values: Tensor, axis: int, out: Tensor | None = None) -> Tensor:
    """The largest of three neighbours at every second place along an axis."""
    at = values.ndim * [slice(None)]

    def part(tensor: Tensor, start: int, stop: int | None, step: int = 1) -> Tensor:
        return tensor[(*at[:axis], slice(start, stop, step))]

    even, odd = part(values, 0, None, 2), part(values, 1, None, 2)
    count, pairs = even.shape[axis], odd.shape[axis]
    if count == pairs:
        found = torch.maximum(even, odd, out=out)
    else:  # nothing is behind the last
        found = even.clone() if out is None else out.copy_(even)
        ends = part(found, 0, pairs)
        torch.maximum(ends, odd, out=ends)
    behind = part(found, 1, None)
    torch.maximum(behind, part(odd, 0, count - 1), out=behind)
    return found


class _Fusing:
    """Replaces nodes of a recorded body."""

    def __init__(self, made: fx.GraphModule) -> None:
        self.made, self.graph = made, made.graph
        self.modules = dict(made.named_modules())
        self.mine: dict[fx.Node, FusedConv | HalvingPool] = {}

    def run(self) -> int:
        """Fuse; gives how many convolutions do what followed them."""
        self._skip_nothings()
        count = 0
        for node in list(self.graph.nodes):
            conv = self._module(node)
            if _plain_conv(conv) and len(node.args) == 1 and not node.kwargs:
                count += self._conv(node, conv)
            elif self._pools(node, conv):
                pool = HalvingPool()
                self.mine[self._put(node, pool, (node.args[0],))] = pool
        return count

    def convs(self) -> dict[fx.Node, nn.Conv2d]:
        """The nodes that convolve, with their convolution."""
        return {node: m.conv for node, m in self.mine.items() if isinstance(m, FusedConv)}

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.modules.get(str(node.target)) if node.op == "call_module" else None

    def _skip_nothings(self) -> None:
        """Take out layers that do nothing in eval mode."""
        for node in list(self.graph.nodes):
            if isinstance(self._module(node), nn.Identity | nn.Dropout) and not node.kwargs:
                node.replace_all_uses_with(node.args[0])
                self.graph.erase_node(node)

    def _conv(self, node: fx.Node, conv: nn.Conv2d) -> bool:
        """Fuse one convolution with what follows; false if that is nothing (it is packed still)."""
        last: fx.Node = node
        other: Any = None
        after = _only_user(node)
        if after is not None and _is_sum(after, node):
            one, two = after.args
            last, other = after, (two if one is node else one)
            after = _only_user(last)
        name, numbers = self._activation(after) if after is not None else ("none", ())
        if other is not None and name != "relu":  # oneDNN's sums are followed by nothing else
            name, numbers = "none", ()
        if after is not None and name != "none":
            after.replace_all_uses_with(last)
            self.graph.erase_node(after)
        given = (node.args[0],) if other is None else (node.args[0], other)
        spend = isinstance(other, fx.Node) and other in self.mine
        spend = spend and max(other.users, key=_order(self.graph)) is last
        mine = FusedConv(conv, name, numbers, spend=spend)
        new = self._put(last, mine, given)
        self.mine[new] = mine
        if last is not node:
            self.graph.erase_node(node)
        return last is not node or name != "none"

    def _activation(self, node: fx.Node) -> tuple[str, tuple[float, ...]]:
        """What a node does behind a convolution."""
        module = self._module(node)
        key = node.target if module is None else type(module)
        alone = len(node.args) == 1 and not set(node.kwargs) - {"inplace"}
        return _NAMED.get(key, ("none", ())) if alone and node.op != "get_attr" else ("none", ())

    def _pools(self, node: fx.Node, module: nn.Module | None) -> bool:
        """Whether a node is the pooling of 3 x 3 at every second place, behind a ReLU."""
        if type(module) is not nn.MaxPool2d or len(node.args) != 1:
            return False
        sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
        given = node.args[0]
        behind = self.mine.get(given) if isinstance(given, fx.Node) else None
        usual = [_one(size) for size in sizes] == [3, 2, 1, 1]
        usual = usual and not module.ceil_mode and not module.return_indices
        return usual and isinstance(behind, FusedConv) and behind.name in ("relu", "hardtanh")

    def _put(self, node: fx.Node, module: nn.Module, given: tuple[Any, ...]) -> fx.Node:
        name = f"fused_{len(self.modules)}"
        self.made.add_module(name, module)
        self.modules[name] = module
        with self.graph.inserting_before(node):
            new = self.graph.call_module(name, given)
        node.replace_all_uses_with(new)
        self.graph.erase_node(node)
        return new


def _plain_conv(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    """Whether it is a convolution that does nothing else."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


def _is_sum(node: fx.Node, term: fx.Node) -> bool:
    """Whether a node adds ``term``, which was computed right before, to another tensor."""
    if node.target not in _SUMS or len(node.args) != 2 or node.kwargs or node.prev is not term:
        return False
    one, two = node.args
    return isinstance(one, fx.Node) and isinstance(two, fx.Node) and one is not two


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _order(graph: fx.Graph) -> Callable[[fx.Node], int]:
    where = {node: number for number, node in enumerate(graph.nodes)}
    return lambda node: where[node]


def _one(size: int | tuple[int, ...]) -> int | None:
    """The size of both axes, if it is one."""
    if isinstance(size, int):
        return size
    return size[0] if len(set(size)) == 1 else None
