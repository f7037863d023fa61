"""Installing into MindsDB's package: right after every interruption, exact when undone."""

from __future__ import annotations

import ast
import base64
import csv
import errno
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler import __version__
from huggingface_api_handler.installation import InstallationError, install, mindsdb_package, uninstall
from huggingface_api_handler.installation import status as installation_status
from huggingface_api_handler.installation import steps as installation
from huggingface_api_handler.installation.environment import subprocess_environment
from huggingface_api_handler.installation.folder import MARKER, folder_contents
from huggingface_api_handler.installation.mindsdb_package import MindsDBPackage
from huggingface_api_handler.installation.prediction_cache import prediction_cache, switch_off

SHIPPED = {
    "__init__.py": b"from .handler import Handler\nname = 'huggingface_api'\n",
    "__about__.py": b"__version__ = '0.0.1'\n",
    "handler.py": b"class Handler: pass\n",
    "icon.svg": b"<svg/>",
    "requirements.txt": b"hugging_py_face\n",
    "tests/test_it.py": b"def test(): pass\n",
}
NEWER = {**SHIPPED, "handler.py": b"class Handler: new = True\n", "creation_args.py": b"creation_args = {}\n"}
SOMEBODYS = {"__init__.py": b"name = 'huggingface_api'\n", "mine.py": b"x = 1\n"}
TARGET = mindsdb_package.HANDLER_PATH

# An audit hook sees each file system call of Python itself and may refuse it; it cannot be removed again.
_on_step: list[Callable[[str], None]] = []
_STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.chmod", "os.utime"}


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _on_step:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in _STEPS:
        _on_step[0](event)


sys.addaudithook(_hook)


@pytest.fixture(autouse=True)
def _no_step_left() -> Iterator[None]:
    yield
    _on_step.clear()


class Interrupted(BaseException):
    """Stands for Ctrl-C, a kill, a power cut."""


def interrupted(function: Callable[[Path], object], package: Path, at: int) -> bool:
    """Run the function up to before its file system step number `at`; whether it got that far."""
    count = 0

    def step(_event: str) -> None:
        nonlocal count
        count += 1
        if count >= at:  # nothing after it happens either: no cleaning up by a process that is gone
            raise Interrupted

    _on_step[:] = [step]
    try:
        function(package)
    except Interrupted:
        return True
    finally:
        _on_step.clear()
    return False


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(folder: Path) -> dict[str, bytes] | None:
    """Every file below, caches included; None where there is no folder."""
    if not folder.is_dir():
        return None
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def record(package: Path, files: dict[str, bytes]) -> None:
    """pip's record of what it installed."""
    info = package.parent / "mindsdb-26.1.0.dist-info"
    info.mkdir(exist_ok=True)
    with (info / "RECORD").open("w", newline="") as out:
        for name, content in files.items():
            value = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            csv.writer(out).writerow([f"mindsdb/{TARGET}/{name}", f"sha256={value}", len(content)])
        csv.writer(out).writerow([f"mindsdb/{TARGET}/__pycache__/handler.cpython-311.pyc", "", ""])


def fake_mindsdb(folder: Path, handler: dict[str, bytes] | None = SHIPPED) -> Path:
    package = folder / "mindsdb"
    write(package, {"__init__.py": b"", "__about__.py": b'__version__ = "26.1.0"\n'})
    write(package / "integrations/handlers/other_handler", {"__init__.py": b"name = 'other'\n"})
    record(package, SHIPPED)
    if handler is not None:
        write(package / TARGET, handler)
    return package


def pip_upgrades(package: Path, files: dict[str, bytes]) -> None:
    """What pip does: remove the recorded files, whoever wrote them, and lay the new ones over the rest."""
    for name in SHIPPED:
        (package / TARGET / name).unlink(missing_ok=True)
    write(package / TARGET, files)
    record(package, files)


def shipped(folder: Path) -> Path:
    return fake_mindsdb(folder)


def absent(folder: Path) -> Path:
    return fake_mindsdb(folder, None)


def somebodys(folder: Path) -> Path:
    return fake_mindsdb(folder, SOMEBODYS)


def installed(folder: Path) -> Path:
    install(package := fake_mindsdb(folder))
    return package


def older_version(folder: Path) -> Path:
    package = installed(folder)
    marker = package / TARGET / MARKER
    marker.write_text(marker.read_text().replace(__version__, "0.0.9"))
    (package / TARGET / "icon.svg").write_bytes(b"<svg>older</svg>")
    return package


def upgraded(folder: Path) -> Path:
    pip_upgrades(package := installed(folder), NEWER)
    return package


def reinstalled(folder: Path) -> Path:
    pip_upgrades(package := installed(folder), SHIPPED)
    return package


SCENARIOS: dict[Callable[[Path], Path], dict[str, bytes] | None] = {
    shipped: SHIPPED,
    absent: None,
    somebodys: SOMEBODYS,
    installed: SHIPPED,
    older_version: SHIPPED,
    upgraded: NEWER,
    reinstalled: SHIPPED,
}
each_scenario = pytest.mark.parametrize(
    ("scenario", "original"), SCENARIOS.items(), ids=[each.__name__ for each in SCENARIOS]
)


def assert_installed(package: Path) -> None:
    assert read(package / TARGET) == folder_contents()


def assert_undone(package: Path, original: dict[str, bytes] | None) -> None:
    assert read(package / TARGET) == original
    assert sorted(each.name for each in (package / "integrations").iterdir()) == ["handlers"]
    handlers = package / "integrations/handlers"
    assert {each.name for each in handlers.iterdir()} == {"other_handler"} | (
        {"huggingface_api_handler"} if original is not None else set()
    )


@each_scenario
def test_install_and_uninstall_give_back_what_was_there(
    tmp_path: Path, scenario: Callable[[Path], Path], original: dict[str, bytes] | None
) -> None:
    package = scenario(tmp_path)
    install(package)
    assert_installed(package)
    assert not install(package).changed
    assert_installed(package)
    assert uninstall(package).changed
    assert_undone(package, original)
    assert not uninstall(package).changed
    assert_undone(package, original)


@each_scenario
@pytest.mark.parametrize("verb", [install, uninstall])
def test_every_interruption_is_recovered_from(
    tmp_path: Path,
    verb: Callable[[Path], object],
    scenario: Callable[[Path], Path],
    original: dict[str, bytes] | None,
) -> None:
    at, went_on = 1, True
    while went_on:
        for recovery in ("install", "uninstall"):
            folder = tmp_path / f"{at}_{recovery}"
            package = scenario(folder)
            went_on = interrupted(verb, package, at)
            if recovery == "install":
                install(package)
                assert_installed(package)
            uninstall(package)
            assert_undone(package, original)
        at += 1
    nothing_to_do = scenario is installed if verb is install else scenario in (shipped, absent, somebodys)
    assert nothing_to_do == (at == 2), "the steps were not seen"


@each_scenario
def test_works_where_folders_of_a_lower_layer_cannot_be_renamed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Path], Path],
    original: dict[str, bytes] | None,
) -> None:
    package = scenario(tmp_path)
    lower = {str(each) for each in package.rglob("*") if each.is_dir()}
    rename = Path.rename

    def overlay(source: Path, destination: Path) -> Path:
        if str(source) in lower:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        return rename(source, destination)

    monkeypatch.setattr(Path, "rename", overlay)
    install(package)
    assert_installed(package)
    uninstall(package)
    assert_undone(package, original)


def test_modes_times_and_caches_of_the_original_come_back(tmp_path: Path) -> None:
    package = fake_mindsdb(tmp_path, {**SHIPPED, "__pycache__/handler.cpython-311.pyc": b"code"})
    file = package / TARGET / "handler.py"
    file.chmod(0o640)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    install(package)
    uninstall(package)
    assert (package / TARGET / "__pycache__/handler.cpython-311.pyc").read_bytes() == b"code"
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.stat().st_mtime == 1_600_000_000


def test_a_link_to_a_checkout_is_set_aside_as_a_link(tmp_path: Path) -> None:
    package = fake_mindsdb(tmp_path / "site", None)
    write(tmp_path / "checkout", SOMEBODYS)
    (package / TARGET).symlink_to(tmp_path / "checkout")
    install(package)
    assert_installed(package)
    assert read(tmp_path / "checkout") == SOMEBODYS
    uninstall(package)
    assert os.readlink(package / TARGET) == str(tmp_path / "checkout")
    assert read(tmp_path / "checkout") == SOMEBODYS


def test_an_upgrade_in_between_wins_over_the_older_original(tmp_path: Path) -> None:
    package = upgraded(tmp_path)
    sentences = " ".join(install(package).sentences)
    assert "upgraded" in sentences
    assert read(MindsDBPackage(package).aside / "original") == NEWER


def test_a_newer_original_with_fewer_files_is_not_taken_for_a_remainder(tmp_path: Path) -> None:
    package = installed(tmp_path)
    fewer = {name: content for name, content in SHIPPED.items() if not name.startswith("tests/")}
    pip_upgrades(package, fewer)
    install(package)
    uninstall(package)
    assert_undone(package, fewer)


def test_somebodys_handler_is_never_deleted(tmp_path: Path) -> None:
    package = somebodys(tmp_path)
    install(package)
    pip_upgrades(package, NEWER)
    install(package)
    uninstall(package)
    assert read(package / TARGET) == NEWER
    set_aside = MindsDBPackage(package).aside.with_name("huggingface_api_handler.set-aside.1")
    assert read(set_aside / "original") == SOMEBODYS


def test_an_edited_installation_is_replaced_and_not_taken_for_an_original(tmp_path: Path) -> None:
    package = installed(tmp_path)
    init = package / TARGET / "__init__.py"
    init.write_text(init.read_text() + "\nprint('debugging')\n")
    assert install(package).changed
    assert_installed(package)
    uninstall(package)
    assert_undone(package, SHIPPED)


@pytest.mark.parametrize("marker", [b"", b"[]", b'{"files": 3}', b"\xff"])
def test_a_damaged_marker_is_still_ours(tmp_path: Path, marker: bytes) -> None:
    package = installed(tmp_path)
    (package / TARGET / MARKER).write_bytes(marker)
    install(package)
    assert_installed(package)
    uninstall(package)
    assert_undone(package, SHIPPED)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_read_only_site_packages_say_what_to_do(tmp_path: Path, number: int) -> None:
    package = shipped(tmp_path)

    def refuse(_event: str) -> None:
        raise OSError(number, os.strerror(number), str(package))

    _on_step[:] = [refuse]
    with pytest.raises(InstallationError, match=r"sudo.*virtual environment") as caught:
        install(package)
    _on_step.clear()
    assert str(package) in str(caught.value)
    assert_undone(package, SHIPPED)


def test_without_mindsdb_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InstallationError, match="pip install mindsdb"):
        install()
    assert "pip install mindsdb" in installation_status.status().sentences()[0]


def test_what_a_removed_mindsdb_left_is_no_mindsdb(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("mindsdb", None, is_package=True)
    spec.submodule_search_locations = ["/site-packages/mindsdb"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(InstallationError, match=r"/site-packages/mindsdb .*may be deleted"):
        uninstall()


def test_a_mindsdb_with_another_layout_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mindsdb", {"__init__.py": b""})
    with pytest.raises(InstallationError, match="keeps its handlers elsewhere"):
        install(tmp_path / "mindsdb")


def test_mindsdb_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = fake_mindsdb(tmp_path)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mindsdb", raising=False)
    found = mindsdb_package.find_mindsdb()
    assert found is not None and found.root == package and found.version == "26.1.0"


def test_mindsdb_reads_the_installed_folder_as_text(tmp_path: Path) -> None:
    """The same steps as mindsdb/interfaces/database/integrations.py: constants, and dicts of constants."""
    folder = installed(tmp_path) / TARGET
    literals: dict[str, Any] = {}
    for item in ast.parse((folder / "__init__.py").read_text()).body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            if isinstance(item.value, ast.Constant):
                literals[item.targets[0].id] = item.value.value
            elif isinstance(item.value, ast.Attribute):
                literals[item.targets[0].id] = item.value.attr
    assert literals["name"] == "huggingface_api"
    assert literals["title"] == "Hugging Face API"
    assert literals["version"] == __version__
    assert literals["type"] == "ML"
    assert literals["permanent"] is False
    assert (folder / literals["icon_path"]).is_file()

    creation: dict[str, dict[str, Any]] = {}
    for item in ast.parse((folder / "creation_args.py").read_text()).body:
        if isinstance(item, ast.Assign):
            assert isinstance(item.value, ast.Call)
            for keyword in item.value.keywords:
                assert isinstance(keyword.value, ast.Dict)
                creation[str(keyword.arg)] = ast.literal_eval(keyword.value)
    secret = {name for name, value in creation.items() if value.get("secret")}
    assert secret == {"api_key", "huggingface_api_api_key", "huggingface_api_key", "token"}
    assert {"endpoint", "bill_to", "trusted_hosts", "max_concurrency", "timeout"} <= set(creation)


@each_scenario
def test_status_tells_which_handler_is_active(
    tmp_path: Path, scenario: Callable[[Path], Path], original: dict[str, bytes] | None
) -> None:
    expected = {"shipped": "shipped", "absent": "none", "somebodys": "other", "upgraded": "shipped"}
    package = scenario(tmp_path)
    found = installation_status.status(package, try_import=False)
    active = expected.get(scenario.__name__, "shipped" if scenario is reinstalled else "ours")
    assert found.active == active
    assert found.original_set_aside == (scenario in (installed, older_version, upgraded, reinstalled))
    assert found.healthy == (scenario is installed)
    assert found.active_version == {"installed": __version__, "older_version": "0.0.9"}.get(scenario.__name__)


def test_status_imports_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = b"print('noise')\nversion = '7'\nimport_error = OSError('no lib')\n"
    package = fake_mindsdb(tmp_path, {"__init__.py": code})
    for folder in ("integrations", "integrations/handlers"):
        (package / folder / "__init__.py").write_bytes(b"")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sentences: list[str] = []
    found = installation_status.status(package, progress=sentences.append)
    assert found.imported == installation_status.ImportOutcome("7", "OSError: no lib")
    assert sentences and any("NO, OSError: no lib" in each for each in found.sentences())
    (package / TARGET / "__init__.py").write_bytes(b"raise ValueError('broken')\n")
    assert installation_status.import_as_mindsdb_does().error == "ValueError: broken"


def test_the_prediction_cache_is_read_from_mindsdbs_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINDSDB_CONFIG_PATH", raising=False)
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", str(tmp_path))
    assert prediction_cache() == "local"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"cache": {"type": "none"}}))
    monkeypatch.setenv("MINDSDB_CONFIG_PATH", str(config))
    assert prediction_cache() == "none"
    (tmp_path / "config.auto.json").write_text(json.dumps({"cache": {"type": "redis"}}))
    assert prediction_cache() == "redis"


def test_status_says_what_the_prediction_cache_breaks_and_how_to_switch_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINDSDB_CONFIG_PATH", raising=False)
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", str(tmp_path))
    package = fake_mindsdb(tmp_path / "site")
    warned = "\n".join(installation_status.status(package, try_import=False).sentences())
    assert "WARNING: MindsDB's prediction cache is on (local)" in warned
    for said in ("USING", "dry_run", "mapping (ON", "rows that failed", "install --no-prediction-cache CONFIG"):
        assert said in warned
    assert '"cache": {"type": "none"}' in warned and "predictor_cache" in warned
    (tmp_path / "config.auto.json").write_text(json.dumps({"cache": {"type": "none"}}))
    quiet = "\n".join(installation_status.status(package, try_import=False).sentences())
    assert "prediction cache: off" in quiet and "WARNING" not in quiet


def test_the_prediction_cache_is_switched_off_and_all_else_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", str(tmp_path))
    config = tmp_path / "config.json"
    monkeypatch.setenv("MINDSDB_CONFIG_PATH", str(config))
    before = {"auth": {"password": "p"}, "cache": {"type": "redis", "connection": {"host": "h"}}, "gui": {}}
    config.write_text(json.dumps(before))
    config.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(config)
    report = switch_off(link)
    assert report.changed and str(link) in report.sentences[0]
    assert json.loads(config.read_text()) == {**before, "cache": {"type": "none", "connection": {"host": "h"}}}
    assert list(json.loads(config.read_text())) == list(before)
    assert config.stat().st_mode & 0o777 == 0o640 and link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "link.json"]
    assert prediction_cache() == "none"
    content = config.read_bytes()
    again = switch_off()
    assert not again.changed and len(again.sentences) == 1 and config.read_bytes() == content


def test_a_configuration_that_does_not_exist_is_made_and_to_be_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINDSDB_CONFIG_PATH", raising=False)
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", str(tmp_path))
    config = tmp_path / "new.json"
    said = switch_off(config).sentences
    assert json.loads(config.read_text()) == {"cache": {"type": "none"}}
    assert config.stat().st_mode & 0o777 == 0o600
    assert f"--config={config}" in said[1] and len(said) == 2
    monkeypatch.setenv("MINDSDB_CONFIG_PATH", str(tmp_path / "other.json"))
    (tmp_path / "config.auto.json").write_text(json.dumps({"cache": {"type": "local"}}))
    _, ignored, overruled = switch_off(config).sentences
    assert "other.json, which MindsDB reads instead" in ignored
    assert "config.auto.json says otherwise" in overruled


@pytest.mark.parametrize(("content", "says"), [(b"{not json", "is not JSON"), (b"[1]", "no JSON object"), (b"\xff", "Cannot read")])  # fmt: skip
def test_what_is_no_configuration_is_left_as_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(content)
    with pytest.raises(InstallationError, match=says):
        switch_off(config)
    assert config.read_bytes() == content


def test_a_configuration_must_be_named_and_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINDSDB_CONFIG_PATH", raising=False)
    with pytest.raises(InstallationError, match=r"Name MindsDB's configuration file.*--config"):
        switch_off()
    with pytest.raises(InstallationError, match="Cannot write"):
        switch_off(tmp_path / "no_such_folder" / "config.json")


def test_no_key_and_no_proxy_reach_a_subprocess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HUGGINGFACE_API_KEY", "hf_secret")
    monkeypatch.setenv("MINDSDB_STORAGE_DIR", "/somebody's")
    monkeypatch.setenv("NO_PROXY", "example.org")
    quiet = subprocess_environment()
    assert "hf_secret" not in quiet.values() and quiet["HF_TOKEN_PATH"] == os.devnull
    assert "MINDSDB_STORAGE_DIR" not in quiet
    assert quiet["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert subprocess_environment(with_token=True)["HF_TOKEN"] == "hf_secret"


def test_where_the_token_comes_from_is_told_and_the_token_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_API_KEY", "hf_secret")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    sentence = installation_status.token_sentence()
    assert "HUGGINGFACE_API_KEY" in sentence and "hf_secret" not in sentence


def test_two_installations_wait_for_each_other(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    package = shipped(tmp_path)
    with installation._folder_lock(package / "integrations"):
        handle = os.open(package / "integrations", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
