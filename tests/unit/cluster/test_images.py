"""What needs no root, no network and no tool of others."""

import json
import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.cluster.images.archive import read
from tests.cluster.images.cache import digest, folder, forget
from tests.cluster.images.debian import debian_mirrors
from tests.cluster.images.dockerfile import context, network_settings
from tests.cluster.images.programs import run

_ROOT = Path(__file__).parents[3]


def written(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))


def test_an_image_is_as_big_as_its_layers_in_their_order(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    manifest = [{"Config": "c.json", "RepoTags": ["example:1"], "Layers": ["base.tar", "ours.tar"]}]
    with tarfile.open(archive, "w") as tar:
        written(tar, "ours.tar", b"o" * 20)
        written(tar, "base.tar", b"b" * 300)
        written(tar, "c.json", b"{}")
        written(tar, "manifest.json", json.dumps(manifest).encode())
    image = read("example:1", archive)
    assert (image.name, image.layers, image.size) == ("example:1", (300, 20), 320)


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "lbprovider" / "images"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert folder() == Path("/home/somebody/.cache/lbprovider/images")


def test_a_digest_tells_where_one_part_ends() -> None:
    assert digest(b"ab", b"c") == digest(b"ab", b"c")
    assert len({digest(b"ab", b"c"), digest(b"a", b"bc"), digest(b"abc"), digest(b"abc", b"")}) == 4


def test_archives_used_last_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(["old", "new", "newer", "newest"]):
        (tmp_path / f"{name}.tar").touch()
        os.utime(tmp_path / f"{name}.tar", (age, age))
    (tmp_path / "export-half").mkdir()
    forget(tmp_path, 2)
    assert {each.name for each in tmp_path.iterdir()} == {"newest.tar", "newer.tar", "export-half"}
    forget(tmp_path, 2)
    assert len(list(tmp_path.glob("*.tar"))) == 2


def test_the_builder_is_given_what_dockerignore_lets_in(tmp_path: Path) -> None:
    for each in ("code/a.py", "code/deep/b.py", "code/__pycache__/a.pyc", "code/deep/__pycache__/b.pyc", "one", "two"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).touch()
    ignore = ["# why", "*", "!one", "!code", "", "**/__pycache__"]
    assert sorted(map(str, context(tmp_path, ignore))) == ["code/a.py", "code/deep/b.py", "one"]


@pytest.mark.parametrize("line", ["code/*.txt", "!one", "**/deep/b.py"])
def test_a_dockerignore_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(RuntimeError, match="only '\\*'"):
        list(context(tmp_path, ["*", "!code", "**/__pycache__", line]))


def test_the_dockerignore_that_is_shipped_is_understood() -> None:
    found = set(map(str, context(_ROOT, (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())))
    assert {"pyproject.toml", "LICENSE", "config/crd/segments.yaml", "lbprovider/cli/main.py"} <= found
    assert not [each for each in found if each.startswith("tests") or each.endswith(".pyc")]


def test_pip_reaches_the_index_as_the_machines_does() -> None:
    listing = (
        ":env:.timeout='180'\n:env:.find-links='/somewhere'\n"
        "global.index-url='https://index.example/simple'\nglobal.timeout='15'\nglobal.cert='/etc/one.crt'\n"
        "install.cert='/etc/two.crt'\ninstall.extra-index-url='\\nhttps://a.example\\nhttps://b.example'\n"
        "list.format='columns'\n"
    )
    assert network_settings(listing) == {
        "index-url": "https://index.example/simple",
        "timeout": "180",
        "cert": "/etc/two.crt",
        "extra-index-url": "\nhttps://a.example\nhttps://b.example",
    }


def test_debian_comes_from_where_apt_has_it_but_not_from_a_derivative_or_a_disc() -> None:
    targets = (
        "http://security.example/debian-security/|Debian|Debian-Security\n"
        "http://derived.example/|Ubuntu|Ubuntu\n"
        "cdrom://disc/|Debian|Debian\n"
        "http://mirror.example/debian/|Debian|Debian\n"
        "http://never.updated.example/||\n"
        "https://second.example/debian/|Debian|Debian\n"
    )
    assert debian_mirrors(targets) == ["http://mirror.example/debian/", "https://second.example/debian/"]
    assert debian_mirrors("") == []


def test_a_missing_program_is_one_sentence_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError) as caught:
        run("buildah", "version")
    assert str(caught.value) == "buildah is not installed: on Debian and Ubuntu 'apt install buildah'"


def test_a_failure_shows_what_the_program_said_last() -> None:
    with pytest.raises(RuntimeError) as caught:
        run("sh", "-c", "seq 1000; echo it broke >&2; exit 3")
    lines = str(caught.value).splitlines()
    assert lines[0] == "sh -c seq 1000; echo it broke >&2; exit 3 … failed:"
    assert lines[-2:] == ["1000", "it broke"]
    assert len(lines) < 40


def test_what_a_program_prints_is_its_output() -> None:
    assert run("sh", "-c", "echo $WHAT; echo aside >&2", env={"WHAT": "out"}) == "out\n"


def test_an_interrupted_program_ends_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    opened = []

    def interrupted(_: subprocess.Popen[str]) -> None:
        opened.append(pipe.open("rb"))
        assert opened[0].readline() == b"started\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("sh", "-c", f"(echo started; sleep 5; echo survived) >{pipe} & wait")
    with opened[0] as reader:
        assert reader.read() == b""  # at its end, as nobody has it open any more
