"""What e3nn makes while a network is built, made when it is needed, and once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from e3nn import o3
from e3nn.math import _normalize_activation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor


def moments_made_once() -> AbstractContextManager[Any]:
    """Return a context in which e3nn computes the moment of each activation once, and not for each layer.

    It is a mean over a million numbers, the same ones each time: of 2.6 s that it takes to build SevenNet-0, 0.8 s.
    """
    kept = functools.cache(_normalize_activation.moment)
    return mock.patch.object(_normalize_activation, "moment", kept)


class LateProduct(o3.TensorProduct):
    """A tensor product whose code is made when it first computes: never, where a faster one takes its place.

    Of the rest that it takes to build SevenNet-0, making the code of its convolutions is four tenths.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        """Take what an `e3nn.o3.TensorProduct` takes."""
        super().__init__(*given, **named, compile_left_right=False)
        self._make = functools.partial(o3.TensorProduct, *given, **named)
        self._made: list[Any] = []  # in a list, so that it is no part of the network, which is stored without
        self.__codegen__.remove("_compiled_main_left_right")  # else copies would be made of code that is not there
        self._compiled_main_left_right = _Coefficients()

    def forward(self, x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute as the product does whose place this takes."""
        if not self._made:
            made = self._make()
            made._compiled_main_left_right.load_state_dict(self._compiled_main_left_right.state_dict())  # noqa: SLF001
            self._made.append(made.to(x.device))
        product: Tensor = self._made[0](x, y, weight)
        return product


class _Coefficients(torch.nn.Module):
    """What a checkpoint holds for the code of a product: coefficients, under the names that the code has for them."""

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        for name, value in state.items():
            if name.startswith(prefix):
                self.register_buffer(name.removeprefix(prefix), value.to(torch.get_default_dtype(), copy=True))
