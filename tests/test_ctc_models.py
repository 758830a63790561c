"""Models of the `transformers` library as networks: ONNX says what torch says, search finds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from fakes import write_wav
from tiny_ctc import RATE, TOKENS, Floats, save, say, taught, w2v_bert, wav2vec2, wavlm

import earshot
from earshot.ctc_models import export_checkpoint
from earshot.errors import MissingExtra, NetworkError
from earshot.features import StackedFbank, Waveform
from earshot.installed import Adding, add, by_fingerprint
from earshot.library import Library
from earshot.network import Network
from earshot.units import PHONES

WORDS = ["abc", "dead", "cab", "feed", "hag", "beef", "face", "bead", "gaff", "chafe"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that hears the letters a to h."""
    return save(taught(), tmp_path_factory.mktemp("checkpoints") / "hearing")


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARSHOT_NETWORKS", str(tmp_path / "networks"))
    return tmp_path / "networks"


def heard(folder: Path, pcm: Floats) -> Floats:
    return np.concatenate(list(Network.open(folder).listen(np.array_split(pcm, 7))))


@pytest.mark.parametrize("make", [wav2vec2, wavlm, w2v_bert])
def test_a_network_says_what_the_library_says(make: Callable[[], Any], tmp_path: Path) -> None:
    """The whole way, features included: PCM as the library's own extractor and model hear it."""
    net = make()
    source = save(net, tmp_path / "model")
    described = export_checkpoint(str(source), tmp_path)
    pcm = say(["abc", "fee"])
    extractor = transformers.AutoFeatureExtractor.from_pretrained(source)
    fed = extractor(pcm, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        wanted = torch.log_softmax(net(**fed).logits, -1)[0].numpy()
    found = heard(tmp_path, pcm)
    # An odd last log-mel frame is masked by the library, and left out here.
    assert 0 <= len(wanted) - len(found) <= 1
    np.testing.assert_allclose(found, wanted[: len(found)], atol=2e-3)
    assert described["heads"]["units"]["units"] == list(TOKENS)
    assert described["heads"]["units"]["blank"] == 0
    assert described["speller"] == {
        "reading": "plain", "delimiter": "|", "case": "upper", "numbers": None
    }  # fmt: skip


def test_windows_are_cut_by_the_recording_not_by_its_blocks(hearing: Path, tmp_path: Path) -> None:
    export_checkpoint(str(hearing), tmp_path)
    pcm = say(WORDS * 7)
    assert len(pcm) > 40 * RATE
    network = Network.open(tmp_path)
    cuts = [len(pcm)], [RATE, 777, 12 * RATE, len(pcm)]
    first, second = (
        np.concatenate(list(network.listen(np.split(pcm, np.cumsum(one)[:-1])))) for one in cuts
    )
    assert np.array_equal(first, second)
    assert len(first) == (len(pcm) - 480) // 320 + 1
    # With so much context on both sides a window hears what the whole hears.
    whole = network._session.run(
        [network.head], {network.input: network.features.of(pcm, RATE, 320)[None]}
    )[0][0]
    assert (first.argmax(-1) == whole.argmax(-1)).mean() > 0.98


def test_what_was_said_is_found(hearing: Path, networks: Path, tmp_path: Path) -> None:
    """Add the model, add recordings with it, search by letters; the library knows its network."""
    write_wav(tmp_path / "one.wav", say([*WORDS, "ca", "b"]))
    write_wav(tmp_path / "two.wav", say(WORDS[::-1]))
    background = write_wav(tmp_path / "three.wav", say(["gab", "ached", "dace"] * 4))
    added = add(str(hearing), Adding(background=[background]))
    assert added.network is not None and added.name == "hearing"
    assert by_fingerprint(added.network.fingerprint) == networks / "hearing"
    with Library(tmp_path / "library", "hearing") as library:
        assert [one.status.value for one in library.add([tmp_path / "one.wav"]).outcomes] == [
            "added"
        ]
    with Library(tmp_path / "library") as library:  # the same network, though none is named
        library.add([tmp_path / "two.wav"])
        for word in ("feed", "Chafe", "hag"):
            best, other = library.search(word, min_confidence=0).mentions[:2]
            assert {best.title, other.title} == {"one", "two"}
            for mention in (best, other):
                words = WORDS if mention.title == "one" else WORDS[::-1]
                assert mention.start == pytest.approx(begins(words, word.lower()), abs=0.15)
        (phrase,) = library.search("hag beef", min_confidence=0).mentions[:1]
        assert phrase.title == "one"
        assert [one.units for one in library.pronunciations("dead cab")] == [
            tuple("DEAD|CAB"), tuple("DEADCAB")
        ]  # fmt: skip


def begins(words: list[str], word: str) -> float:
    """Second at which `word` begins in `say(words)`."""
    at = 0.1
    for other in words[: words.index(word)]:
        at += 0.14 * len(other) + 0.1
    return at


def test_fewer_bits_hear_the_same(hearing: Path, tmp_path: Path) -> None:
    export_checkpoint(str(hearing), tmp_path, int8=True)
    pcm = say(WORDS)
    (tmp_path / "full").mkdir()
    export_checkpoint(str(hearing), tmp_path / "full")
    found, wanted = heard(tmp_path, pcm), heard(tmp_path / "full", pcm)
    assert (found.argmax(-1) == wanted.argmax(-1)).mean() > 0.85
    sizes = [(one / "network.onnx").stat().st_size for one in (tmp_path, tmp_path / "full")]
    assert sizes[0] < sizes[1]


def test_weights_that_one_file_cannot_hold(
    hearing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tmp_path / "one"
    wanted.mkdir()
    export_checkpoint(str(hearing), wanted)
    monkeypatch.setattr("earshot.ctc_models._LARGEST_FILE", 1000)
    export_checkpoint(str(hearing), tmp_path)
    assert (tmp_path / "network.onnx.data").stat().st_size > 10_000
    pcm = say(["abc"])
    np.testing.assert_allclose(heard(tmp_path, pcm), heard(wanted, pcm), atol=1e-5)


def test_phones_become_those_of_english(networks: Path, tmp_path: Path) -> None:
    """A model of espeak's signs is searched by the English dictionary, R-coloured vowels too."""
    signs = """ɑː æ ə ʌ ɔː aʊ aɪ b tʃ d ð ɛ ɚ eɪ f ɡ h ɪ iː dʒ k l m n ŋ oʊ ɔɪ p ɹ s ʃ t θ ʊ
        uː v w j z ʒ ɾ ɔːɹ x""".split()  # noqa: SIM905
    tokens = ["<pad>", "<s>", *signs]
    source = save(wav2vec2(vocab_size=len(tokens)), tmp_path / "espeak", tokens)
    added = add(str(source), Adding())
    assert added.network is not None
    units = added.network.units
    assert units == (*PHONES, "AO+R", "<other>", "<blank>")
    with Library(tmp_path / "library", "espeak") as library:
        said = [one.units for one in library.pronunciations("north")]
        assert said == [("N", "AO+R", "TH"), ("N", "AO", "R", "TH")]
    probabilities = np.exp(heard(added.folder, say(["abc"])))
    # A tap may be a T or a D, so that its probability counts twice.
    assert (probabilities.sum(-1) > 0.999).all() and (probabilities.sum(-1) < 1.5).all()


def test_any_units_with_a_lexicon_of_ones_own(networks: Path, tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "ʎ", "ɣ", "a", "ts", "o", "ɲ"]
    kind = {"pad_token": "[PAD]", "tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}
    source = save(wav2vec2(vocab_size=8), tmp_path / "phones", tokens, **kind)
    with pytest.raises(NetworkError, match="neither letters nor all phones of English"):
        add(str(source), Adding())
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("niño ɲ a ɲ o\nniño(2) ɲ o\nllama ʎ a ɣ a\n", "utf-8")
    add(str(source), Adding(name="spanish", lexicon=lexicon))
    with Library(tmp_path / "library", "spanish") as library:
        said = [one.units for one in library.pronunciations("¡Niño llama!")]
        assert said[0] == ("ɲ", "a", "ɲ", "o", "ʎ", "a", "ɣ", "a")
        assert said[1] == ("ɲ", "o", "ʎ", "a", "ɣ", "a")
    lexicon.write_text("niño ɲ x ɲ o\n", "utf-8")
    with pytest.raises(NetworkError, match=r"words\.txt:1: 'x' is no unit of the network"):
        add(str(source), Adding(name="other", lexicon=lexicon))
    assert [one.name for one in networks.iterdir()] == ["spanish"]


def refused(source: Path | str, folder: Path, **how: Any) -> str:
    with pytest.raises(NetworkError) as caught:
        export_checkpoint(str(source), folder, **how)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    return message.removeprefix(f"{source}: ")


@pytest.fixture
def broken(hearing: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the checkpoint with entries of one of its JSON files changed."""

    def make(name: str = "config.json", **changes: Any) -> Path:
        copy = tmp_path / "broken"
        copy.mkdir()
        for one in hearing.iterdir():
            (copy / one.name).write_bytes(one.read_bytes())
        content = {**json.loads((copy / name).read_text()), **changes}
        (copy / name).write_text(json.dumps(content))
        return copy

    return make


def test_what_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty", tmp_path).startswith("neither a network (network.json is")
    assert "no such folder, and no such model" in refused("nobody/nothing-of-that-name", tmp_path)
    assert "\n" not in refused("../../etc/passwd", tmp_path)
    empty, config = tmp_path / "empty", tmp_path / "empty/config.json"
    for content in ("{", '{"model_type": "brand-new"}'):
        config.write_text(content)
        assert "not a model that transformers knows" in refused(empty, tmp_path)
    config.write_text('{"model_type": "bert"}')
    assert refused(empty, tmp_path).startswith("a model of type 'bert' has no CTC form")


def test_pickles_are_refused_unless_they_are_trusted(hearing: Path, tmp_path: Path) -> None:
    source = tmp_path / "pickled"
    source.mkdir()
    for one in hearing.iterdir():
        if one.suffix == ".json":
            (source / one.name).write_bytes(one.read_bytes())
    assert refused(source, tmp_path).startswith("its weights are not in safetensors")
    net = transformers.Wav2Vec2ForCTC.from_pretrained(hearing)
    torch.save(net.state_dict(), source / "pytorch_model.bin")
    assert "--trust-pickle" in refused(source, tmp_path)
    export_checkpoint(str(source), tmp_path, trust_pickle=True)
    assert Network.open(tmp_path).units == TOKENS


def test_a_model_that_was_never_taught_units(hearing: Path, tmp_path: Path) -> None:
    source = tmp_path / "headless"
    net = transformers.Wav2Vec2ForCTC.from_pretrained(hearing)
    save(net, source)
    net.wav2vec2.save_pretrained(source)
    assert refused(source, tmp_path).startswith("it has no CTC head (its file lacks lm_head.")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("preprocessor_config.json", {"sampling_rate": 8000}, "it hears 8000 samples a second"),
        (
            "preprocessor_config.json",
            {"feature_extractor_type": "ASTFeatureExtractor"},
            "features of",
        ),
        ("config.json", {"conv_stride": [160]}, ""),
        ("config.json", {"vocab_size": 40}, "vocab.json names 13 units and the model has 40"),
        ("config.json", {"hidden_size": 64}, ""),
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"}, ""),
    ],
)
def test_damaged_checkpoints(
    broken: Callable[..., Path], name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    source = broken(name, **changes)
    (source / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert message in refused(source, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["vocab.json", "preprocessor_config.json", "model.safetensors"])
def test_files_that_are_missing_or_rubbish(
    broken: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    source = broken()
    for content in (b"", b"[1]", b"\xff\xfe{", b"[" * 100_000, None):
        if content is None:
            (source / name).unlink()
        else:
            (source / name).write_bytes(content)
        refused(source, tmp_path)


def test_without_the_library(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["transformers"] = None
from earshot.ctc_models import export_checkpoint
from earshot.errors import MissingExtra
from pathlib import Path
try:
    export_checkpoint("some/model", Path({str(tmp_path)!r}))
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(earshot.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'earshot[transformers]'" in done.stdout
    assert MissingExtra.exit_status == 1


def test_stacked_frames_are_those_of_the_library() -> None:
    extractor = transformers.SeamlessM4TFeatureExtractor()
    pcm = say(["abc"])
    wanted = extractor(pcm, sampling_rate=RATE, return_tensors="np")["input_features"][0]
    found = StackedFbank().of(pcm, RATE, 1)
    np.testing.assert_allclose(found, wanted[: len(found)], atol=0.05)
    assert np.abs(found - wanted[: len(found)]).mean() < 1e-3
    assert StackedFbank().frames_in(len(pcm), RATE) == len(found)


def test_waveforms_are_those_of_the_library() -> None:
    pcm = say(["abc"])
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    wanted = extractor(pcm, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    found = Waveform(normalise=True, least_samples=400).of(pcm, RATE, 320)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    silent = Waveform(normalise=True, least_samples=400).of(np.zeros(800, np.float32), RATE, 320)
    assert not silent.any()
    plain = Waveform(normalise=False, least_samples=400)
    assert np.array_equal(plain.of(pcm, RATE, 320), pcm)
    assert [plain.frames_in(one, RATE) for one in (0, 399, 400, 720)] == [0, 0, 1, 321]
