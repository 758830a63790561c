"""A CTC model of the `transformers` library -> a network folder: ONNX, features, units.

Any model that hears the waveform (wav2vec 2.0, HuBERT, WavLM and their like) or log-mel frames as
w2v-BERT 2.0 does, in letters or in phones. The library itself finds and downloads a checkpoint;
weights that are pickles, which can run anything, are refused unless they are trusted, and code that
comes with a checkpoint is never run. Knows nothing of libraries or search; the frameworks that it
needs are imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earshot.errors import MissingExtra, NetworkError
from earshot.features import Input, StackedFbank, Waveform
from earshot.network import ATTENDING_CONTEXT_SECONDS, ATTENDING_WINDOW_SECONDS, FORMAT
from earshot.phone_names import english_phones
from earshot.spellers import DELIMITERS, case_of, is_special

_OPSET = 18
_OUTPUT = "scores"
_LARGEST_FILE = 1_500_000_000  # bytes; protobuf ends at 2 GiB, larger weights get their own file
_LARGEST_JSON = 64 << 20
_SAMPLE_RATE = 16_000
_LETTER_SHARE = 0.8  # a vocabulary of letters may hold a few pieces that are longer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, read: `net` gives logits (batch, frames, tokens), `tokens` are their names."""

    net: Any
    name: str
    tokens: tuple[str, ...]
    blank: int
    delimiter: str | None
    phonetic: bool
    fed: Input
    stride: int
    input: str


@dataclass(frozen=True, slots=True)
class Units:
    """What an exported network says: `fold` holds for each unit the tokens that it sums."""

    names: tuple[str, ...]
    blank: int
    fold: tuple[tuple[int, ...], ...] | None
    speller: dict[str, Any]


def export_checkpoint(
    source: str,
    folder: Path,
    *,
    own_lexicon: bool = False,
    language: str | None = None,
    int8: bool = False,
    trust_pickle: bool = False,
) -> dict[str, Any]:
    """Write network.onnx and network.json of the model `source` to `folder`; return the metadata.

    `source` is a folder or a name that the library downloads. `own_lexicon`: words will be looked
    up in a lexicon of the model's own units, whatever they are. `language`: "en" lets English
    numbers be read to a model of letters. Raises NetworkError, one sentence, for what cannot be
    used, and MissingExtra where the library is not installed.
    """
    with _quiet():
        checkpoint = _read(source, trust_pickle)
        units = _units(checkpoint, own_lexicon, language)
        metadata = _describe(checkpoint, units)
        metadata["fingerprint"] = _fingerprint(checkpoint.net, metadata)
        if int8:
            metadata["weights"] = "int8"
        traced = _Traced(checkpoint, units).module()
        _write_onnx(traced, checkpoint, folder / "network.onnx")
        _compare(traced, checkpoint, folder / "network.onnx")
        if int8:
            _quantise(folder / "network.onnx")
    text = json.dumps(metadata, indent=1, ensure_ascii=False) + "\n"
    (folder / "network.json").write_text(text, encoding="utf-8")
    return metadata


def _read(source: str, trust_pickle: bool) -> Checkpoint:
    """Find, check and load a checkpoint; the cheap checks first."""
    library = _library()
    config = _config(library, source)
    known = library.models.auto.modeling_auto.MODEL_FOR_CTC_MAPPING_NAMES
    if config.model_type not in known:
        raise NetworkError(
            f"{source}: a model of type {config.model_type!r} has no CTC form in transformers; "
            f"those that have: {', '.join(sorted(known))}"
        )
    fed, stride = _input(library, source, config)
    tokens, blank, delimiter, phonetic = _vocabulary(library, source, config)
    net = _load(library, source, config, trust_pickle)
    name = getattr(net, "main_input_name", "")
    if name != ("input_features" if isinstance(fed, StackedFbank) else "input_values"):
        raise NetworkError(f"{source}: its model takes {name!r}, which is no sound that is known")
    return Checkpoint(net, source, tokens, blank, delimiter, phonetic, fed, stride, name)


def _library() -> Any:
    try:
        import onnx  # noqa: F401  # only adding a network needs these, and they take seconds
        import torch  # noqa: F401
        import transformers  # see above
    except ImportError:
        raise MissingExtra("transformers, which reads such models,", "transformers") from None
    return transformers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries print and warn of on their way; downloads show their progress."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            transformers = _library()
            before = transformers.logging.get_verbosity()
            transformers.logging.set_verbosity_error()
        except AttributeError:  # not what its name says: what follows will tell
            yield
            return
        try:
            yield
        finally:
            transformers.logging.set_verbosity(before)


def _config(library: Any, source: str) -> Any:
    try:
        return library.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # the library raises whatever it met, OSError to KeyError
        raise NetworkError(_absent(source, error)) from None


def _absent(source: str, error: Exception) -> str:
    """One sentence for a model that was not found, or is none."""
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").exists():
            return (
                f"{source}: neither a network (network.json is missing) nor a model of "
                "transformers (config.json is missing)"
            )
        return f"{folder / 'config.json'}: not a model that transformers knows: {_reason(error)}"
    if isinstance(error, OSError):
        return (
            f"{source}: no such folder, and no such model was found on the hub of transformers: "
            f"{_reason(error)}"
        )
    return f"{source}: not a model that transformers knows: {_reason(error)}"


def _reason(error: Exception) -> str:
    """The first sentence of an error of the library, which may go on for a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = (lines or [type(error).__name__])[0]
    return first.split(". ")[0].rstrip(".:")[:200]


def _load(library: Any, source: str, config: Any, trust_pickle: bool) -> Any:
    try:
        net, info = library.AutoModelForCTC.from_pretrained(
            source,
            config=config,
            trust_remote_code=False,
            use_safetensors=None if trust_pickle else True,
            output_loading_info=True,
            attn_implementation="eager",
        )
    except Exception as error:  # as above
        if not trust_pickle and "safetensors" in str(error).lower():
            raise NetworkError(
                f"{source}: its weights are not in safetensors but, if there are any, a pickle, "
                "which can run anything when it is opened: give --trust-pickle if you trust "
                "where it comes from"
            ) from None
        raise NetworkError(f"{source}: cannot be loaded: {_reason(error)}") from None
    missing = sorted(name for name in info["missing_keys"])
    if any("head" in name for name in missing):
        raise NetworkError(
            f"{source}: it has no CTC head (its file lacks {missing[0]}), so it was not trained "
            "to tell units: choose a model that was fine-tuned with CTC"
        )
    if missing or info.get("mismatched_keys"):
        what = [*missing, *(str(one[0]) for one in info.get("mismatched_keys", ()))][0]
        raise NetworkError(f"{source}: its weights do not fit its configuration: see {what}")
    return net.eval()


def _json(library: Any, source: str, name: str) -> dict[str, Any]:
    """A JSON file of the checkpoint as the library finds it; empty where there is none."""
    try:
        path = library.utils.cached_file(source, name)
    except OSError:
        path = None
    if path is None:
        return {}
    try:
        if Path(path).stat().st_size > _LARGEST_JSON:
            raise ValueError("it is too large")
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NetworkError(f"{source}: its {name} cannot be read: {_reason(error)}") from None
    if not isinstance(content, dict):
        raise NetworkError(f"{source}: its {name} is not a JSON object")
    return content


def _input(library: Any, source: str, config: Any) -> tuple[Input, int]:
    """What the model is fed, and how many frames of that (samples, of a waveform) a step takes."""
    said = _json(library, source, "preprocessor_config.json")
    if not said:
        raise NetworkError(
            f"{source}: preprocessor_config.json is missing, which says what the model is fed"
        )
    kind = said.get("feature_extractor_type")
    rate = said.get("sampling_rate")
    if rate != _SAMPLE_RATE:
        raise NetworkError(f"{source}: it hears {rate} samples a second, not {_SAMPLE_RATE}")
    try:
        adapted = config.adapter_stride**config.num_adapter_layers if _adapter(config) else 1
        if kind == "Wav2Vec2FeatureExtractor" and hasattr(config, "conv_stride"):
            return _waveform(said, config, adapted)
        if kind == "SeamlessM4TFeatureExtractor":
            bins, stack = int(said.get("num_mel_bins", 80)), int(said.get("stride", 2))
            if bins * stack != config.feature_projection_input_dim:
                raise ValueError(f"{bins} mel bins, {stack} at a time, do not fit the model")
            return StackedFbank(mel_bins=bins, stack=stack), adapted
    except (AttributeError, TypeError, ValueError) as error:
        raise NetworkError(f"{source}: what it is fed is damaged: {_reason(error)}") from None
    raise NetworkError(
        f"{source}: features of type {kind!r} are not known (Wav2Vec2FeatureExtractor and "
        "SeamlessM4TFeatureExtractor are)"
    )


def _waveform(said: Mapping[str, Any], config: Any, adapted: int) -> tuple[Input, int]:
    reach, stride = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        reach += (kernel - 1) * stride
        stride *= step
    normalise = bool(said.get("do_normalize", True))
    return Waveform(normalise=normalise, least_samples=reach), stride * adapted


def _adapter(config: Any) -> bool:
    return bool(getattr(config, "add_adapter", False))


def _vocabulary(
    library: Any, source: str, config: Any
) -> tuple[tuple[str, ...], int, str | None, bool]:
    """Names of the outputs, which one is the blank, which stands between words; phones or not."""
    vocabulary = _json(library, source, "vocab.json")
    said = _json(library, source, "tokenizer_config.json")
    special = _json(library, source, "special_tokens_map.json")
    if not vocabulary:
        raise NetworkError(f"{source}: vocab.json is missing, which names the model's units")
    language = str(said.get("target_lang"))
    if isinstance(vocabulary.get(language), dict):
        vocabulary = vocabulary[language]
    elif all(isinstance(one, dict) for one in vocabulary.values()):
        raise NetworkError(
            f"{source}: its vocabularies are of {len(vocabulary)} languages, and "
            "tokenizer_config.json does not say by target_lang which one its weights are of"
        )
    size = config.vocab_size
    names = {at: token for token, at in vocabulary.items() if type(at) is int and 0 <= at < size}
    for at, token in said.get("added_tokens_decoder", {}).items():
        if at.isdecimal() and int(at) < size and isinstance(token, dict):
            names.setdefault(int(at), str(token.get("content")))
    blank = config.pad_token_id
    pad = _text(special.get("pad_token", said.get("pad_token")))
    if pad in vocabulary:
        blank = vocabulary[pad]
    if type(blank) is not int or not 0 <= blank < size:
        raise NetworkError(f"{source}: no pad token says which of its units is the blank of CTC")
    tokens = [names.get(at, f"<{at}>") for at in range(size)]
    if len(names) < size / 2 or len(set(tokens)) < size:
        raise NetworkError(
            f"{source}: vocab.json names {len(names)} units and the model has {size}"
        )
    delimiter = _text(special.get("word_delimiter_token", said.get("word_delimiter_token", "|")))
    if delimiter not in vocabulary:
        delimiter = next((one for one in DELIMITERS if one in vocabulary), None)
    phonetic = "Phoneme" in str(said.get("tokenizer_class"))
    return tuple(tokens), blank, delimiter, phonetic


def _text(token: Any) -> Any:
    """A special token, which is a text or an object that holds one."""
    return token.get("content") if isinstance(token, dict) else token


def _units(checkpoint: Checkpoint, own_lexicon: bool, language: str | None) -> Units:
    """What the network will say: the model's own units, or the phones of English made of them."""
    tokens, blank = checkpoint.tokens, checkpoint.blank
    said = [one for at, one in enumerate(tokens) if at != blank and not is_special(one)]
    plain = {"reading": "plain", "delimiter": checkpoint.delimiter, "case": case_of(said)}
    if own_lexicon:
        return Units(tokens, blank, None, plain)
    found = english_phones(tokens, blank)
    if not isinstance(found, list):
        names = (*found.units, "<blank>")
        fold = (*found.tokens, (blank,))
        return Units(names, len(names) - 1, fold, {"reading": "english", "joined": found.joined})
    letters = [one for one in said if len(one) == 1]
    if checkpoint.phonetic or len(letters) < _LETTER_SHARE * len(said) or not letters:
        raise NetworkError(
            f"{checkpoint.name}: its {len(said)} units are neither letters nor all phones of "
            f"English (nothing stands for {', '.join(found[:5])}): give --lexicon FILE, whose "
            "words are written in its units"
        )
    numbers = "english" if language == "en" else None
    return Units(tokens, blank, None, {**plain, "numbers": numbers})


def _describe(checkpoint: Checkpoint, units: Units) -> dict[str, Any]:
    fed = checkpoint.fed
    hop = fed.hop(_SAMPLE_RATE) / _SAMPLE_RATE
    head = {
        "output": _OUTPUT,
        "frame_seconds": round(hop * checkpoint.stride, 9),
        "units": list(units.names),
        "blank": units.blank,
    }
    return {
        "format": FORMAT,
        "model": checkpoint.name if not Path(checkpoint.name).exists() else "",
        "sample_rate": _SAMPLE_RATE,
        "features": fed.as_metadata(),
        "input": checkpoint.input,
        "frame_multiple": checkpoint.stride,
        "context_seconds": ATTENDING_CONTEXT_SECONDS,
        "window_seconds": ATTENDING_WINDOW_SECONDS,
        "heads": {"units": head},
        "speller": units.speller,
    }


def _fingerprint(net: Any, metadata: Mapping[str, Any]) -> str:
    told = {name: one for name, one in metadata.items() if name != "model"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.float().cpu().numpy()).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Traced:
    """Logits to log-posteriors of units, as the module that is traced."""

    checkpoint: Checkpoint
    units: Units

    def module(self) -> Any:
        """A torch module from the model's input to (batch, frames, units)."""
        import torch  # see `_library`

        net = self.checkpoint.net
        fold = None
        if self.units.fold is not None:
            fold = torch.zeros(len(self.checkpoint.tokens), len(self.units.fold))
            for unit, tokens in enumerate(self.units.fold):
                fold[list(tokens), unit] = 1.0

        class Scores(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.net = net
                self.register_buffer("fold", fold)

            def forward(self, heard: Any) -> Any:
                scores = torch.log_softmax(self.net(heard).logits.float(), dim=-1)
                if self.fold is None:
                    return scores
                return torch.log(torch.clamp(torch.exp(scores) @ self.fold, min=1e-10))

        return Scores().eval()


def _example(checkpoint: Checkpoint, seconds: float) -> Any:
    """Noise that gets louder, as the model is fed it."""
    import torch  # see `_library`

    count = round(seconds * _SAMPLE_RATE)
    noise = np.random.default_rng(count).normal(size=count).astype(np.float32) * 0.05
    noise *= np.linspace(0.1, 1, count, dtype=np.float32)
    return torch.from_numpy(checkpoint.fed.of(noise, _SAMPLE_RATE, checkpoint.stride)[None])


def _write_onnx(traced: Any, checkpoint: Checkpoint, path: Path) -> None:
    import onnx  # see `_library`
    import torch

    parts = path.parent / ".parts"  # weights of 2 GB and more leave torch as a heap of files
    parts.mkdir()
    try:
        with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            torch.onnx.export(
                traced,
                (_example(checkpoint, 3.0),),
                str(parts / "network.onnx"),
                input_names=[checkpoint.input],
                output_names=[_OUTPUT],
                dynamic_axes={checkpoint.input: {1: "time"}, _OUTPUT: {1: "frames"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        graph = onnx.load(str(parts / "network.onnx"))
        size = sum(math.prod(one.dims) * 4 for one in graph.graph.initializer)
        data = path.with_name("network.onnx.data").name
        large = size > _LARGEST_FILE
        onnx.save(graph, str(path), save_as_external_data=large, location=data if large else None)
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise NetworkError(
            f"{checkpoint.name}: this model cannot be written as ONNX: {_reason(error)}"
        ) from None
    finally:
        for part in parts.iterdir():
            part.unlink()
        parts.rmdir()


def _compare(traced: Any, checkpoint: Checkpoint, path: Path) -> None:
    """Refuse a file that does not say what torch says, at other lengths than it was traced with."""
    import onnxruntime  # see `_library`
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for seconds in (1.2, 4.01):
        example = _example(checkpoint, seconds)
        with torch.no_grad():
            wanted = traced(example).numpy()
        try:
            [found] = session.run([_OUTPUT], {checkpoint.input: example.numpy()})
        except Exception as error:  # ONNX Runtime's errors share no root but Exception
            raise NetworkError(
                f"{checkpoint.name}: this model cannot be written as ONNX: {_reason(error)}"
            ) from None
        steps = checkpoint.fed.frames_in(round(seconds * _SAMPLE_RATE), _SAMPLE_RATE)
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-2, atol=1e-2):
            raise NetworkError(f"{checkpoint.name}: in ONNX this model says something else")
        if abs(found.shape[1] - steps / checkpoint.stride) > 2:
            raise NetworkError(
                f"{checkpoint.name}: it gives {found.shape[1]} frames where its configuration "
                f"says {steps // checkpoint.stride}"
            )


def _quantise(path: Path) -> None:
    # Part of ONNX Runtime, but imports onnx: see `_library`.
    from onnxruntime.quantization import QuantType, quantize_dynamic

    large = path.with_name("network.onnx.data").exists()
    quantised = path.with_name(".quantised.onnx")
    quantize_dynamic(
        path,
        quantised,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=False,
    )
    quantised.replace(path)
    if large:
        path.with_name("network.onnx.data").unlink()
