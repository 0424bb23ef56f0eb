"""Narrow maps side by side: matrix units compute sixteen places of a row at once, or waste them.

oneDNN lays the places of one row of a map out in a tile of AMX, which has sixteen rows; a map that
is seven wide leaves nine of them empty. Two such maps with a column of zeros between them are
fifteen wide. So images are laid side by side before the layers that see narrow maps, and apart
behind them: every place sees what it saw before, zeros beyond its map's edge included, and gets the
same sum in the same order.

Columns between the maps hold zeros wherever a convolution reads them, as padding would. Maps that
1 x 1 convolutions see as well stay as they are: those take a map's rows as one long row, gain
nothing, and laying maps beside and apart around them costs more than the others gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from torch import Tensor, cpu, fx, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS = 16
"""Rows of a tile: places of a map's row that are computed at once."""


@dataclass(frozen=True, slots=True)
class Ground:
    """How maps of one size lie.

    Attributes:
        count: Maps side by side.
        step: Columns from one to the next.
        width: Columns of a map.
    """

    count: int
    step: int
    width: int


@final
class Beside(nn.Module):
    """Lays maps side by side, with zeros between them and for maps that are lacking."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (ceil(N / count), C, H, count * step)."""
        (images, channels, high, wide), ground = maps.shape, self.ground
        groups = -(-images // ground.count)
        out = maps.new_zeros((groups, high, ground.count, ground.step, channels))
        for place in range(ground.count):
            mine = maps[place :: ground.count].permute(0, 2, 3, 1)
            out[: len(mine), :, place, :wide] = mine
        return out.flatten(2, 3).permute(0, 3, 1, 2)


@final
class Apart(nn.Module):
    """Undoes :class:`Beside`."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground

    def forward(self, maps: Tensor, images: Tensor) -> Tensor:
        """(ceil(N / count), C, H, count * step), and as many images (N, ...), to (N, C, H, W)."""
        parted = _columns(maps, self.ground)[:, :, :, : self.ground.width].transpose(1, 2)
        return parted.flatten(0, 1)[: len(images)].contiguous().permute(0, 3, 1, 2)


@final
class Gapped(nn.Module):
    """A layer on maps side by side: what it writes between them becomes zeros again."""

    def __init__(self, layer: nn.Module, ground: Ground) -> None:
        super().__init__()
        self.layer, self.ground = layer, ground

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) that lie side by side to others (N, K, H, W) that do."""
        given: Tensor = self.layer(*maps)
        _columns(given, self.ground)[:, :, :, self.ground.width :] = 0
        return given


def _columns(maps: Tensor, ground: Ground) -> Tensor:
    """Maps (N, C, H, count * step) as (N, H, count, step, C); nothing is moved."""
    images, channels, high, _ = maps.shape
    return maps.permute(0, 2, 3, 1).view(images, high, ground.count, ground.step, channels)


def has_tiles() -> bool:
    """Whether the processor computes with tiles: elsewhere there is nothing to save."""
    return bool(getattr(cpu, "_is_amx_tile_supported", bool)())


def lay_abreast(made: fx.GraphModule, convs: Mapping[fx.Node, nn.Conv2d], images: Tensor) -> int:
    """Lay narrow maps side by side where that saves work.

    Args:
        made: A recorded body; it is changed, and has to be compiled anew.
        convs: Its nodes that convolve their first input (N, C, H, W), and do nothing else than to
            add others of the result's shape and to apply a function that needs no neighbours.
        images: Images (N, C, H, W) to try it on.

    Returns:
        How many convolutions see maps side by side.
    """
    sizes = _Sizes(made)
    sizes.run(images)
    narrow: dict[tuple[int, int], dict[fx.Node, tuple[nn.Conv2d, int]]] = {}
    for node, conv in convs.items():
        size, given = sizes.found[node], sizes.found[_given(node)[0]]
        narrow.setdefault(size, {})[node] = (conv, given[1])
    count = 0
    for (_, width), group in narrow.items():
        ground = _ground(width, list(group.values()))
        if ground is not None:
            _Laying(made, ground).run(group)
            count += len(group)
    return count


class _Sizes(fx.Interpreter):
    """Height and width of every map on the way."""

    def __init__(self, made: fx.GraphModule) -> None:
        super().__init__(made)
        self.found: dict[fx.Node, tuple[int, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        out = super().run_node(n)
        if isinstance(out, Tensor) and out.ndim == 4:
            self.found[n] = (int(out.shape[2]), int(out.shape[3]))
        return out


def _ground(width: int, convs: list[tuple[nn.Conv2d, int]]) -> Ground | None:
    """How maps that come out ``width`` wide can lie, of convolutions and what each is given."""
    for step in range(width + 1, ROWS // 2 + 1):
        ground = Ground(ROWS // step, step, width)
        if all(_fits(ground, conv, given) for conv, given in convs):
            return ground
    return None


def _fits(ground: Ground, conv: nn.Conv2d, given: int) -> bool:
    """Whether a convolution gains, reads nothing but its own map and zeros, and writes in step."""
    stride, padding, dilation = (_across(s) for s in (conv.stride, conv.padding, conv.dilation))
    if conv.kernel_size == (1, 1) and stride == 1:  # its places are one long row
        return False
    if stride > 1 and given == ground.width:  # of one column: what it is given may lie otherwise
        return False
    reach = dilation * (_across(conv.kernel_size) - 1)
    step = ground.step * stride
    before = step - given >= padding
    behind = (ground.width - 1) * stride - padding + reach < step
    wide = (ground.count * step + 2 * padding - reach - 1) // stride + 1
    return before and behind and wide == ground.count * ground.step


def _across(size: Any) -> int:
    """The size of a pair along a map's width."""
    return int(size[1])


def _given(node: fx.Node) -> list[fx.Node]:
    return [given for given in node.args if isinstance(given, fx.Node)]


class _Laying:
    """Puts the nodes that lay maps side by side and apart around others."""

    def __init__(self, made: fx.GraphModule, ground: Ground) -> None:
        self.made, self.graph, self.ground = made, made.graph, ground
        self.beside: dict[tuple[fx.Node, int], fx.Node] = {}
        self.images = next(node for node in self.graph.nodes if node.op == "placeholder")

    def run(self, convs: Mapping[fx.Node, tuple[nn.Conv2d, int]]) -> None:
        """Have these see maps side by side."""
        for node, (conv, given) in convs.items():
            first, *others = _given(node)
            node.args = tuple(
                self._laid(other, step, width, convs)
                for other, step, width in (
                    (first, self.ground.step * _across(conv.stride), given),
                    *((other, self.ground.step, self.ground.width) for other in others),
                )
            )
            layer = self.made.get_submodule(str(node.target))
            node.target = self._name(Gapped(layer, self.ground))
        for node in convs:
            users = [user for user in node.users if user not in convs]
            if users:
                with self.graph.inserting_after(node):
                    apart = self._call(Apart(self.ground), (node, self.images))
                for user in users:
                    user.replace_input_with(node, apart)

    def _laid(self, node: fx.Node, step: int, width: int, convs: Mapping[fx.Node, Any]) -> fx.Node:
        """The node, or maps of it side by side."""
        if node in convs:
            return node
        if (node, step) not in self.beside:
            with self.graph.inserting_after(node):
                laid = self._call(Beside(Ground(self.ground.count, step, width)), (node,))
            self.beside[node, step] = laid
        return self.beside[node, step]

    def _call(self, module: nn.Module, given: tuple[fx.Node, ...]) -> fx.Node:
        return self.graph.call_module(self._name(module), given)

    def _name(self, module: nn.Module) -> str:
        name = f"abreast_{len(list(self.made.children()))}"
        self.made.add_module(name, module)
        return name
