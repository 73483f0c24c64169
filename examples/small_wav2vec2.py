"""A small wav2vec 2.0 encoder with random weights, for trying recipes where no pretrained checkpoint is at hand.

python examples/small_wav2vec2.py FOLDER       then model.source=FOLDER

What is scored with it says nothing about wav2vec 2.0: it has learnt nothing, and has a thousandth of its size.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model


def main() -> None:
    """Write config.json and model.safetensors."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=[32] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        apply_spec_augment=False,
        mask_time_prob=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    print(f"{sum(parameter.numel() for parameter in Wav2Vec2Model(config).parameters()):,} parameters in {folder}")


if __name__ == "__main__":
    main()
