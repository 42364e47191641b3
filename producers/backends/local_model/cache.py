"""The key-value cache of a batch whose rows join and leave.

Like transformers' dynamic cache, but its buffers have spare room, so that a step writes one position instead of copying
all. Two caches can be joined, and rows removed. Rows end at the same position and start at different ones; padding
before a row's start is hidden by the attention mask.

Layers with a sliding window are kept in full here; the model's mask applies the window.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 128  # spare positions of a new buffer


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's `keys` and `values`, [rows, heads, length, size]: views of buffers with spare room."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append positions. Returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._hold(_with_room(key_states), _with_room(value_states), key_states.shape[-2])
            return self.keys, self.values
        length = self.keys.shape[-2]
        after = length + key_states.shape[-2]
        if after > self._room[0].shape[-2]:
            self._hold(_with_room(self.keys, after), _with_room(self.values, after), length)
        for buffer, states in zip(self._room, (key_states, value_states), strict=True):
            buffer[:, :, length:after] = states
        self._hold(*self._room, after)
        return self.keys, self.values

    def join(self, other: "GrowingLayer") -> None:
        """Append the rows of another layer, with padding before the shorter ones."""
        length = max(self.keys.shape[-2], other.keys.shape[-2])
        self._hold(_joined(self.keys, other.keys, length), _joined(self.values, other.values, length), length)

    def select(self, rows: torch.Tensor, first: int) -> None:
        """Keep only some rows, from position `first` on."""
        keys, values = self.keys[rows, :, first:], self.values[rows, :, first:]
        self._hold(_with_room(keys), _with_room(values), keys.shape[-2])

    def _hold(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        self._room = (keys, values)
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]


class BatchCache(Cache):
    """The layers of one batch. The model's first forward pass fills it."""

    layers: list[GrowingLayer]  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    def join(self, other: "BatchCache") -> None:
        """Append another batch's rows."""
        for layer, other_layer in zip(self.layers, other.layers, strict=True):
            layer.join(other_layer)

    def select(self, rows: Sequence[int], first: int) -> None:
        """Keep only some rows, from position `first` on."""
        chosen = torch.tensor(rows)
        for layer in self.layers:
            layer.select(chosen.to(layer.keys.device), first)


def _with_room(states: torch.Tensor, length: int = 0) -> torch.Tensor:
    """A buffer that starts with these states, for `length` positions and some spare ones."""
    rows, heads, length_before, size = states.shape
    buffer = states.new_zeros(rows, heads, max(length_before, length) + _ROOM, size)
    buffer[:, :, :length_before] = states
    return buffer


def _joined(upper: torch.Tensor, lower: torch.Tensor, length: int) -> torch.Tensor:
    rows = upper.shape[0]
    buffer = upper.new_zeros(rows + lower.shape[0], upper.shape[1], length + _ROOM, upper.shape[-1])
    # Padding is zero rather than uninitialised memory: a masked position counts 0 times its value.
    buffer[:rows, :, length - upper.shape[-2] : length] = upper
    buffer[rows:, :, length - lower.shape[-2] : length] = lower
    return buffer
