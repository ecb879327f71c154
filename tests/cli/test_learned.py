"""What the commands of all engines that learn have in common."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from anyview.training import extra
from refusals import refused

TRAIN, EVAL = ["train", "D", "--out", "O"], ["eval", "R"]
VERBS = {
    "radiance": (TRAIN, EVAL, ["render", "R", "--path", "orbit"], ["export", "R"]),
    "segment": (TRAIN, EVAL, ["predict", "I", "--weights", "W", "--out", "O"], ["demo"]),
}


@pytest.mark.parametrize("engine", VERBS)
def test_a_missing_extra_is_one_sentence(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name in ("lightning", "yaml") else find_spec(name))
    for words in VERBS[engine]:
        assert refused(capsys, [engine, *words]) == (
            "anyview: the libraries of the learned engines are not installed: expected torch, lightning, safetensors, "
            "torchmetrics, yaml, found no lightning, yaml; run pip install 'anyview[learn]'"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", VERBS)
def test_help_loads_nothing_heavy(engine: str) -> None:
    verbs = [[], *([words[0]] for words in VERBS[engine])]
    program = (
        f"import sys\nfrom anyview.cli.main import main\n"
        f"for verb in {verbs}:\n    main(['{engine}', *verb, '--help'])\n"
        "print('loaded:', *{n.split('.')[0] for n in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    loaded = set(done.stderr.split("loaded:")[1].split())
    assert all(word in done.stdout for word in ("--max-minutes", "--set KEY=VALUE", "{best,latest}", "Folder of a"))
    assert not loaded & {"numba", "pycolmap", "matplotlib", "scipy", "torch", "lightning", "PIL", "yaml"}


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_too_little_memory_names_the_engines_own_options(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("anyview.pipelines.segmentation.evaluate_segmentation", fail)
    said = refused(capsys, ["segment", "eval", "R"])
    assert said.startswith("anyview: out of memory; close other programs")
    assert all(option in said for option in ("optimiser.batch", "model.images.max_size", "--tile"))
    assert "--dense" not in said
