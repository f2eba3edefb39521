"""Why this machine can't run a lab, in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from lbprovider.errors import HostError
from lbprovider.lab import preflight
from lbprovider.lab.preflight import Facts, foreign, lacking_libraries, lacking_programs, look, why

MAP = "unshare: write failed /proc/self/uid_map: Operation not permitted"
EPERM = "unshare: unshare failed: Operation not permitted"
UBUNTU = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run it as root"


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (Facts(words="unshare: unshare failed: Invalid argument", user_namespaces=False), "CONFIG_USER_NS"),
        (Facts(words="unshare: unrecognized option: kill-child"), "install the package util-linux"),
        (Facts(words="setpriv: unrecognized option '--pdeathsig=KILL'"), "util-linux 2.33 or newer"),
        (Facts(words="nf_tables: Invalid argument (EINVAL)"), "sudo modprobe nf_tables"),
        (Facts(words="unshare: unshare failed: No space left on device"), "user.max_.*_namespaces"),
        (Facts(words=EPERM, maximum="0"), "sudo sysctl -w user.max_user_namespaces=28633"),
        (Facts(words=EPERM, clone="0"), "sudo sysctl -w kernel.unprivileged_userns_clone=1, or run it as root"),
        (Facts(words=MAP, label="unprivileged_userns (enforce)", apparmor="?"), UBUNTU),
        (Facts(words=MAP, apparmor="1"), UBUNTU),
        (Facts(words=MAP, apparmor="?"), UBUNTU),
        (Facts(words=MAP, label="unprivileged_userns (enforce)", container=True), UBUNTU),
        (Facts(words=MAP, label="unshare//unpriv (enforce)", apparmor="0"), "apparmor_parser -R"),
        (Facts(words=EPERM, container=True), "--privileged"),
        (Facts(words=EPERM, container=True, apparmor="?", clone="1"), "--security-opt seccomp=unconfined"),
        (Facts(words=EPERM, container=True, root=True, clone="0"), "--privileged"),
    ],
)
def test_a_failed_trial_has_a_reason_and_what_to_do(facts: Facts, advice: str) -> None:
    said = why(facts)
    assert advice in said
    assert said.endswith(f"({facts.words})")


@pytest.mark.parametrize(
    "facts", [Facts(words=EPERM), Facts(words=EPERM, root=True, apparmor="1", clone="0"), Facts(words=EPERM, clone="1")]
)
def test_what_nobody_foresaw_is_said_in_the_programs_own_words(facts: Facts) -> None:
    assert why(facts) == f"this machine doesn't let the lab make its namespaces ({EPERM})"


def _machine(top: Path, **files: str) -> Path:
    for name, content in files.items():
        path = top / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    return top


def test_the_facts_are_read_from_the_machine(tmp_path: Path) -> None:
    top = _machine(
        tmp_path,
        proc__self__ns__user="",
        proc__sys__user__max_user_namespaces="0\n",
        proc__sys__kernel__unprivileged_userns_clone="1\n",
        run__systemd__container="podman",
    )
    facts = look("words", "label", top)
    assert (facts.words, facts.label) == ("words", "label")
    assert (facts.maximum, facts.clone, facts.apparmor) == ("0", "1", "")
    assert facts.user_namespaces
    assert facts.container


def test_a_bare_kernel_has_none_of_it(tmp_path: Path) -> None:
    facts = look("words", "", tmp_path)
    assert (facts.maximum, facts.clone, facts.apparmor) == ("", "", "")
    assert not facts.user_namespaces
    assert not facts.container


def test_a_sysctl_that_only_root_may_read_counts_as_set(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel/apparmor_restrict_unprivileged_userns").mkdir(parents=True)  # unreadable to root, too
    assert look(MAP, "", tmp_path).apparmor == "?"


@pytest.mark.parametrize(
    ("platform", "advice"), [("darwin", "limactl start"), ("win32", "wsl --install"), ("freebsd14", "virtual machine")]
)
def test_other_systems_are_told_where_it_runs(platform: str, advice: str) -> None:
    said = foreign(platform)
    assert said is not None
    assert advice in said
    assert platform in said


def test_a_missing_program_names_its_package() -> None:
    assert lacking_programs(lambda name: None if name == "setpriv" else f"/usr/bin/{name}") == (
        "the lab needs setpriv: install the package util-linux"
    )
    assert (
        lacking_programs(lambda _: None)
        == "the lab needs unshare and nsenter and setpriv: install the package util-linux"
    )
    assert lacking_programs(lambda name: name) is None
    assert foreign("linux") is None


@pytest.mark.parametrize("quote", ["'", '"'])
def test_only_the_labs_own_libraries_count(quote: str) -> None:
    requirements = [
        "aiohttp>=3.14",
        f"cryptography>=50; extra == {quote}lab{quote}",
        f"pyyaml>=6.0.3; extra == {quote}lab{quote}",
        f"mypy>=2.4; extra == {quote}dev{quote}",
    ]
    assert lacking_libraries(requirements, lambda _: False) == (
        "the lab needs cryptography, pyyaml: pip install 'lbprovider[lab]'"
    )
    assert lacking_libraries(requirements, lambda name: name == "cryptography") == (
        "the lab needs pyyaml: pip install 'lbprovider[lab]'"
    )
    assert lacking_libraries(requirements, lambda _: True) is None


def test_a_trial_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_TRIAL", ("sh", "-c", f"echo first >&2; echo '{MAP}' >&2; exit 1"))
    with pytest.raises(HostError) as refused:
        preflight.check()
    assert str(refused.value).endswith(f"({MAP})")
    assert "first" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_trial_without_a_word_says_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_TRIAL", ("sh", "-c", "exit 9"))
    with pytest.raises(HostError, match=r"\(exit status 9\)"):
        preflight.check()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_it_is_imported_on_every_system_and_says_its_sentence_there(platform: str) -> None:
    program = f"""
import os, signal, sys
for missing in ("fcntl", "pwd", "grp", "termios", "resource", "pyroute2", "ctypes.util"):
    sys.modules[missing] = None
for missing in ("geteuid", "getuid", "fork", "pidfd_open", "O_PATH", "wait"):
    delattr(os, missing)
for missing in ("SIGHUP", "SIGALRM", "SIGKILL", "setitimer", "pthread_kill", "pidfd_send_signal"):
    delattr(signal, missing)
from lbprovider.lab import sandbox
from lbprovider.errors import HostError
sys.platform = {platform!r}
try:
    sandbox.run([])
except HostError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"this is {platform}: run it in" in done.stdout
