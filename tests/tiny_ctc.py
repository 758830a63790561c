"""Tiny checkpoints of the `transformers` library: one that hears tones, others that babble.

Every letter is a tone. The checkpoint that hears has filters for these tones, random layers behind
them, and a head that is fitted here in a moment; so what a search should find is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

Floats = npt.NDArray[np.float32]

RATE = 16_000
HOP = 320
LETTERS = "abcdefgh"
TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS.upper())
TONES = {"|": 0.0} | {letter: 300.0 + 350.0 * at for at, letter in enumerate(LETTERS)}
_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "pad_token_id": 0,
    "vocab_size": len(TOKENS),
}
_WAVES: dict[str, Any] = {
    **_SHAPE,
    "conv_dim": (32, 32),
    "conv_kernel": (320, 2),
    "conv_stride": (160, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def tone(letter: str, seconds: float = 0.1) -> Floats:
    """The sound of a letter; of the word delimiter, silence."""
    at = np.arange(round(seconds * RATE)) / RATE
    made = 0.3 * np.sin(2 * np.pi * TONES[letter] * at)
    return np.asarray(made * np.hanning(len(at)) ** 0.3, np.float32)


def say(words: Sequence[str]) -> Floats:
    """Words of `LETTERS`, letter by letter, with silence around them and noise on top."""
    parts = [np.zeros(RATE // 10, np.float32)]
    for word in words:
        for letter in word:
            parts += [tone(letter), np.zeros(640, np.float32)]
        parts.append(np.zeros(RATE // 10, np.float32))
    made = np.concatenate(parts)
    rng = np.random.default_rng(len(made))
    return np.asarray(made + rng.normal(0, 0.003, len(made)), np.float32)


def wav2vec2(**changes: Any) -> Any:
    """A tiny wav2vec 2.0 with random weights."""
    torch.manual_seed(1)
    config = transformers.Wav2Vec2Config(**{**_WAVES, **changes})
    return transformers.Wav2Vec2ForCTC(config).eval()


def wavlm() -> Any:
    """A tiny WavLM with random weights."""
    torch.manual_seed(2)
    return transformers.WavLMForCTC(transformers.WavLMConfig(**_WAVES)).eval()


def w2v_bert() -> Any:
    """A tiny w2v-BERT 2.0 with random weights, which is fed log-mel frames."""
    torch.manual_seed(3)
    config = transformers.Wav2Vec2BertConfig(**_SHAPE, position_embeddings_type="relative_key")
    return transformers.Wav2Vec2BertForCTC(config).eval()


def taught() -> Any:
    """A wav2vec 2.0 that hears which tone is which letter."""
    net = wav2vec2()
    at = np.arange(320) / RATE
    waves = [
        np.cos(2 * np.pi * TONES[letter] * at + phase) * np.hanning(320)
        for letter in LETTERS
        for phase in np.arange(4) * np.pi / 2
    ]
    first, second = (layer.conv for layer in net.wav2vec2.feature_extractor.conv_layers)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(np.array(waves, np.float32)[:, None]))
        second.weight.copy_(0.5 * torch.eye(32)[:, :, None].expand(32, 32, 2))
    rng = np.random.default_rng(4)
    words = ["".join(rng.choice(list(LETTERS), 3)) for _ in range(40)]
    pcm = say(words)
    heard = torch.from_numpy((pcm - pcm.mean()) / np.sqrt(pcm.var() + 1e-7))[None]
    with torch.no_grad():
        hidden = net.wav2vec2(heard).last_hidden_state[0]
    targets = torch.tensor([TOKENS.index(one) for one in _frames(words)[: len(hidden)]])
    optimizer = torch.optim.LBFGS(net.lm_head.parameters(), max_iter=60)

    def loss() -> Any:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(net.lm_head(hidden), targets)
        value.backward()
        return value

    optimizer.step(loss)
    return net.eval()


def _frames(words: Sequence[str]) -> list[str]:
    """What `say` says in each frame: a tone lasts five, and nothing two, or five between words."""
    made = ["|"] * 5
    for word in words:
        for letter in word:
            made += [letter.upper()] * 5 + ["<pad>"] * 2
        made += ["|"] * 5
    return made


def save(net: Any, folder: Path, tokens: Sequence[str] = TOKENS, **tokenizer: Any) -> Path:
    """A checkpoint's folder as the library writes it."""
    net.save_pretrained(folder)
    fed = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True}
    if net.main_input_name == "input_features":
        fed = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "stride": 2}
    _write(folder / "preprocessor_config.json", {**fed, "sampling_rate": RATE})
    _write(folder / "vocab.json", {token: at for at, token in enumerate(tokens)})
    kind = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "pad_token": tokens[0], **tokenizer}
    _write(folder / "tokenizer_config.json", kind)
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
