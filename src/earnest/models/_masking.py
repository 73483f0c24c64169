"""Valid frames: lengths through strided layers, masks, and means that ignore padding.

Networks here lay features out as images (batch, channels, frames, bands). Before each layer that looks along time the
frames beyond a clip's length are set to zero, which is what the layer's own padding holds, so that a clip gives the
same numbers alone and in a padded batch. `lengths=None` means that every frame is valid, and costs nothing.
"""

from __future__ import annotations

import torch


def blank(image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """The image (batch, channels, frames, bands) with zeros in the frames beyond `lengths` (batch,)."""
    if lengths is None:
        return image
    valid = torch.arange(image.shape[2], device=image.device) < lengths.to(image.device)[:, None]
    return torch.where(valid[:, None, :, None], image, image.new_zeros(()))


def after_layer(
    lengths: torch.Tensor | None, kernel: int, stride: int, padding: int, dilation: int = 1
) -> torch.Tensor | None:
    """Valid frames behind a convolution or pooling; `padding` is the sum of both sides, in frames."""
    if lengths is None:
        return None
    return torch.div(lengths + padding - dilation * (kernel - 1) - 1, stride, rounding_mode="floor") + 1


def mean_over_frames(image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Mean over valid frames and all bands, (batch, channels, frames, bands) to (batch, channels)."""
    if lengths is None:
        return image.mean(dim=(2, 3))
    count = lengths.to(image.device).clamp(min=1)[:, None].to(image.dtype)
    return blank(image, lengths).mean(dim=3).sum(dim=2) / count


def max_over_frames(image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Largest value over valid frames of the mean over bands, (batch, channels, frames, bands) to (batch, channels)."""
    profile = image.mean(dim=3)
    if lengths is None:
        return profile.amax(dim=2)
    valid = torch.arange(image.shape[2], device=image.device) < lengths.to(image.device).clamp(min=1)[:, None]
    return profile.masked_fill(~valid[:, None, :], torch.finfo(profile.dtype).min).amax(dim=2)
