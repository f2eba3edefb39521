"""What config/components/fast-path makes of the DaemonSet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from lbprovider.settings import FastPathKind

CONFIG = Path(__file__).parents[3] / "config"


def _patched() -> Any:
    speaker = yaml.safe_load((CONFIG / "default" / "speaker.yaml").read_text(encoding="utf-8"))
    component = yaml.safe_load((CONFIG / "components" / "fast-path" / "kustomization.yaml").read_text(encoding="utf-8"))
    (patch,) = component["patches"]
    assert patch["target"] == {"kind": speaker["kind"], "name": speaker["metadata"]["name"]}
    return jsonpatch.apply_patch(speaker, yaml.safe_load(patch["patch"]))["spec"]["template"]["spec"]["containers"][0]


def test_the_speaker_gets_the_flag_and_the_capabilities_that_the_sentence_names() -> None:
    container = _patched()
    assert container["args"][0] == "speaker"
    assert container["args"][-1] == f"--fast-path={FastPathKind.BPF}"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW", "BPF", "NET_ADMIN"]}
