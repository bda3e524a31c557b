"""The convolution of equivariant networks on CPUs: tensor product over edges and sum over neighbours in one.

e3nn multiplies path by path and leaves outer products as long as all edges in memory, which CPUs then wait for. Here
filters are contracted with the coupling coefficients first, all paths of an input irrep are one small matrix product,
and edges are taken a few at a time, so that what is between stays in the processor's cache. The numbers are the
same up to rounding, which `worker.accelerator` checks before a network with it is used.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from worker.errors import WorkerError

if TYPE_CHECKING:
    from torch import Tensor

EDGES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class IrrepPaths:
    """All paths of one irrep of the nodes.

    Attributes
    ----------
    nodes
        Where its features are: `mul` channels of `dim` components.
    coupling
        (filter components, width * dim): the coefficients of all its paths, one below the other.
    paths
        For each path: its rows in the width, its weights, and its place in the output.
    """

    nodes: slice
    mul: int
    dim: int
    coupling: Tensor
    width: int
    paths: tuple[tuple[slice, slice, slice], ...]

    def coupled(self, filters: Tensor) -> Tensor:
        """Contract filters with the coefficients: (edges, width, dim)."""
        return (filters @ self.coupling).view(len(filters), self.width, self.dim)


class Convolution:
    """A tensor product of mode `uvu` with weights for each edge, summed over the edges of each node."""

    def __init__(self, product: Any, dtype: torch.dtype) -> None:
        """Read the paths of an `e3nn.o3.TensorProduct` that computes in `dtype`.

        Raises
        ------
        ValueError
            It is of another kind.
        """
        in1, in2, out = product.irreps_in1, product.irreps_in2, product.irreps_out
        instructions = product.instructions
        if product.shared_weights or product.internal_weights or any(mul != 1 for mul, _ in in2):
            raise ValueError("not a product of nodes with filters")
        if any(i.connection_mode != "uvu" or not i.has_weight for i in instructions):
            raise ValueError("a path that is not of mode uvu, or has no weights")
        if sorted(i.i_out for i in instructions) != list(range(len(out))):
            raise ValueError("paths that share an output, or an output without a path")
        self.out_dim: int = out.dim
        weights = _slices([in1[i.i_in1].mul for i in instructions])
        self.blocks = []
        for number in range(len(in1)):
            paths = [(i, w) for i, w in zip(instructions, weights, strict=True) if i.i_in1 == number]
            if paths:
                self.blocks.append(_block(product, number, paths, dtype))

    def __call__(self, nodes: Tensor, filters: Tensor, weights: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Convolve.

        Parameters
        ----------
        nodes
            (n, features).
        filters, weights
            (edges, filter components) and (edges, weights).
        source, target
            (edges,): whose features are taken, and to whom they are added.

        Returns
        -------
        Tensor
            (n, out_dim).
        """
        out: Tensor = _Convolve.apply(self, nodes, filters, weights, source, target)
        return out


def _block(product: Any, number: int, paths: list[tuple[Any, slice]], dtype: torch.dtype) -> IrrepPaths:
    from e3nn import o3

    in1, in2, out = product.irreps_in1, product.irreps_in2, product.irreps_out
    mul, ir = in1[number]
    rows = _slices([out[path.i_out].ir.dim for path, _ in paths])
    coupling = torch.zeros(in2.dim, rows[-1].stop, ir.dim, dtype=torch.float64)
    for (path, _), row in zip(paths, rows, strict=True):
        degrees = (ir.l, in2[path.i_in2].ir.l, out[path.i_out].ir.l)
        # its own, if it has them: those of a network that was stored in single precision are rounded
        own = getattr(product._compiled_main_left_right, "_w3j_{}_{}_{}".format(*degrees), None)  # noqa: SLF001
        w3j = o3.wigner_3j(*degrees, dtype=torch.float64) if own is None else own.detach().double().cpu()
        coupling[in2.slices()[path.i_in2], row] = w3j.permute(1, 2, 0) * path.path_weight
    places = [(row, w, out.slices()[path.i_out]) for (path, w), row in zip(paths, rows, strict=True)]
    flat = coupling.reshape(in2.dim, -1).to(dtype)
    return IrrepPaths(in1.slices()[number], mul, ir.dim, flat, rows[-1].stop, tuple(places))


class _Convolve(torch.autograd.Function):
    """Differentiable once; what is between is computed again on the way back, which is cheaper than to keep it.

    Inside, channels come last, so that all loops run over neighbouring numbers.
    """

    @staticmethod
    def forward(
        ctx: Any, plan: Convolution, nodes: Tensor, filters: Tensor, weights: Tensor, source: Tensor, target: Tensor
    ) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(nodes, filters, weights, source, target)
        total = nodes.new_empty(len(nodes), plan.out_dim)
        for block in plan.blocks:
            x = _channels_last(nodes, block)
            sums = nodes.new_zeros(len(nodes), block.width, block.mul)
            for edges in _portions(len(source)):
                messages = torch.bmm(block.coupled(filters[edges]), x.index_select(0, source[edges]))
                for row, weight, _ in block.paths:
                    messages[:, row] *= weights[edges, None, weight]
                sums.index_add_(0, target[edges], messages)
            for row, _, place in block.paths:
                _components_last(total, block, place).copy_(sums[:, row].mT)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        nodes, filters, weights, source, target = ctx.saved_tensors
        slope = slope.contiguous()
        wants_nodes = ctx.needs_input_grad[1]
        of_nodes = torch.zeros_like(nodes) if wants_nodes else None
        of_filters, of_weights = torch.zeros_like(filters), torch.empty_like(weights)
        for block in ctx.plan.blocks:
            x = _channels_last(nodes, block)
            of_x = torch.zeros_like(x)
            of_sums = nodes.new_empty(len(nodes), block.width, block.mul)
            for row, _, place in block.paths:
                of_sums[:, row] = _components_last(slope, block, place).mT
            for edges in _portions(len(source)):
                features, coupled = x.index_select(0, source[edges]), block.coupled(filters[edges])
                of_messages = of_sums.index_select(0, target[edges])
                products = torch.bmm(coupled, features).mul_(of_messages)
                for row, weight, _ in block.paths:
                    of_weights[edges, weight] = products[:, row].sum(1)
                    of_messages[:, row] *= weights[edges, None, weight]
                if wants_nodes:
                    of_x.index_add_(0, source[edges], torch.bmm(coupled.mT, of_messages))
                of_coupled = torch.bmm(of_messages, features.mT)
                of_filters[edges].addmm_(of_coupled.flatten(1), block.coupling.T)
            if of_nodes is not None:
                _components_last(of_nodes, block, block.nodes).copy_(of_x.mT)
        return None, of_nodes, of_filters, of_weights, None, None


def convolutions_of(products: dict[str, Any], dtype: torch.dtype) -> dict[str, Convolution]:
    """Make the convolutions of tensor products, by their names, without those of another kind.

    Raises
    ------
    WorkerError
        All are of another kind.
    """
    made = {}
    for name, product in products.items():
        with contextlib.suppress(AttributeError, ValueError):
            made[name] = Convolution(product, dtype)
    if not made:
        raise WorkerError("the network has no layer that this convolution can compute")
    return made


def with_convolutions(network: Any, edge_index: str) -> Any:
    """Return a network of SevenNet's making that computes its convolutions in this way, and shares all else.

    Parameters
    ----------
    network
        A sequence of layers, those of class `IrrepsConvolution` among them.
    edge_index
        Its key for the atoms that edges connect.

    Raises
    ------
    WorkerError
        It can compute none of them.
    """

    def forward(layer: Any, convolution: Convolution, data: Any) -> Any:
        target, source = data[edge_index]
        weights = layer.weight_nn(data[layer.key_weight_input])
        sums = convolution(data[layer.key_x], data[layer.key_filter], weights, source, target)
        data[layer.key_x] = sums.div(layer.denominator)
        return data

    made = twin(network)
    layers = {
        name: layer
        for name, layer in made.named_children()
        if type(layer).__name__ == "IrrepsConvolution" and not layer.is_parallel
    }
    products = {name: layer.convolution for name, layer in layers.items()}
    for name, convolution in convolutions_of(products, torch.float32).items():
        changed = twin(layers[name])
        changed.forward = partial(forward, changed, convolution)
        setattr(made, name, changed)
    return made


def twin(module: Any) -> Any:
    """Make a module that shares all its parts with another, and whose parts can be exchanged."""
    made = copy.copy(module)
    made._modules = made._modules.copy()  # noqa: SLF001 - torch has no other way
    return made


def exchanged(network: Any, parts: dict[str, Any]) -> Any:
    """Make a network with other modules at some of its places, by their dotted names; all else is shared."""
    made = twin(network)
    for name, part in parts.items():
        *above, last = name.split(".")
        place = made
        for step in above:
            setattr(place, step, twin(getattr(place, step)))
            place = getattr(place, step)
        setattr(place, last, part)
    return made


def _channels_last(nodes: Tensor, block: IrrepPaths) -> Tensor:
    """Features of one irrep, (n, dim, mul)."""
    return _components_last(nodes, block, block.nodes).mT.contiguous()


def _components_last(values: Tensor, block: IrrepPaths, place: slice) -> Tensor:
    """View one irrep of e3nn's layout, (n, mul, components)."""
    return values[:, place].view(len(values), block.mul, -1)


def _portions(n_edges: int) -> list[slice]:
    return [slice(begin, begin + EDGES_AT_ONCE) for begin in range(0, n_edges, EDGES_AT_ONCE)]


def _slices(lengths: list[int]) -> list[slice]:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
