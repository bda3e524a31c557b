"""How images run here: Apptainer and what it stands on, virtual environments, and which of them `auto` takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.doctor.finding import failed, ok, warned
from mira_cli.images import apptainer, host_python, prepare, recipe, site_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding

FUSE = Path("/dev/fuse")
_TAKES = {"apptainer": "takes Apptainer", "venv": "takes virtual environments"}
# switches of the kernel that keep users out of namespaces: the file, what it holds then, and the command for an
# administrator
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
)


def runtime_here() -> Iterator[Finding]:
    """Everything about how images run on this machine."""
    yield from _apptainer()
    chosen, _ = prepare.choose_runtime("auto")
    yield ok("--runtime auto", _TAKES[chosen])
    yield from _for_environments(needed=chosen == "venv")


def runtime_on_node() -> Iterator[Finding]:
    """Find whether a job has the runtime that the login node has built images for."""
    yield from _apptainer()
    chosen, _ = prepare.choose_runtime("auto")
    images = recipe.all_images()
    if chosen == "venv" and _any_built("apptainer") and not any(prepare.is_built(image, "venv") for image in images):
        why = "images are built for Apptainer, which does not work on this node"
        yield failed("--runtime auto", why, "`mira images build all --runtime venv`, and runs with `--runtime venv`")
    else:
        yield ok("--runtime auto", _TAKES[chosen])


def _any_built(runtime: recipe.Runtime) -> bool:
    return any(prepare.is_built(image, runtime) for image in recipe.all_images())


def _apptainer() -> Iterator[Finding]:
    reason = apptainer.works()
    if reason and not apptainer.is_apptainer():
        hint = "`module load apptainer` on many clusters; without it, virtual environments are used"
        yield warned("Apptainer", reason, hint)
        return
    if reason is None:
        yield ok("Apptainer", f"{apptainer.version()} builds and starts images")
    else:
        yield warned("Apptainer", reason, "`apptainer --debug exec IMAGE true` says more; `--runtime venv` needs none")
    yield from _namespaces(works=reason is None)
    yield from _fuse()


def _namespaces(*, works: bool) -> Iterator[Finding]:
    """Users' namespaces: an Apptainer without setuid needs them, and jobs cut themselves off the network with them."""
    name = "user namespaces"
    if not (program := shutil.which("unshare")):
        return
    done = subprocess.run([program, "--user", "true"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        yield ok(name, "usable")
    elif works:
        yield ok(name, "not usable, but Apptainer works without them")
    else:
        said = done.stderr.strip().rpartition(": ")[2] or f"exit code {done.returncode}"
        commands = [command for file, closed, command in _SWITCHES if _kernel(file) == closed]
        what = f"`{commands[0]}`" if commands else "allow user namespaces"
        yield warned(name, f"not usable: {said}", f"ask an administrator for {what}, or for the package apptainer-suid")


def _kernel(file: str) -> str | None:
    try:
        return (Path("/proc/sys") / file).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _fuse() -> Iterator[Finding]:
    """Whether images can be mounted; where not, each job unpacks its own first (setuid Apptainer needs no FUSE)."""
    name, mounts = str(FUSE), "ask an administrator for {}; until then each job unpacks its image first"
    if _is_setuid():
        yield ok(name, "not needed, as Apptainer is setuid")
        return
    try:
        os.close(os.open(FUSE, os.O_RDWR))
    except FileNotFoundError:
        yield warned(name, "missing", mounts.format("`modprobe fuse`"))
        return
    except OSError as error:
        yield warned(
            name, f"cannot be opened: {(error.strerror or str(error)).lower()}", mounts.format("`chmod 666 /dev/fuse`")
        )
        return
    helpers = [found for helper in ("squashfuse_ll", "squashfuse") if (found := _helper(helper))]
    if helpers:
        yield ok(name, f"usable, with {Path(helpers[0]).name}")
    else:
        yield warned(name, "usable, but there is no squashfuse", mounts.format("the package squashfuse"))


def _installation() -> list[Path]:
    """Folders where Apptainer may keep its own programs: beside where `bin/apptainer` really is, and the usual ones."""
    top = Path(apptainer.program() or "/usr/bin/apptainer").resolve().parents[1]
    return [*top.glob("libexec/*ptainer"), *top.glob("libexec/singularity"), *top.glob("lib/**/apptainer")]


def _helper(name: str) -> str | None:
    path = apptainer.apptainer_environment()["PATH"]
    own = [str(folder / "bin") for folder in _installation()]
    return shutil.which(name, path=os.pathsep.join([*own, path]))


def _is_setuid() -> bool:
    starters = [folder / "bin" / "starter-suid" for folder in _installation()]
    return any(starter.is_file() and starter.stat().st_mode & 0o4000 for starter in starters)


def _for_environments(*, needed: bool) -> Iterator[Finding]:
    """What virtual environments are made with: a Python of the locks' version, and a compiler for some."""
    version = recipe.load(recipe.containers()).python
    name = f"Python {version}"
    missing = [image for image in recipe.all_images() if not prepare.is_built(image, "venv")]
    if found := _python(version):
        yield ok(name, str(found))
    elif not needed or not missing:
        yield ok(name, "none here; only building virtual environments needs one")
    elif _may_download():
        hint = f"`uv python install {version}` brings it now, or install it with its development files"
        yield warned(name, "none here: uv will download one for the first environment", hint)
    else:
        says = failed if not _any_built("venv") else warned
        yield says(
            name,
            "none here, and uv is told not to download one (UV_OFFLINE)",
            f"install Python {version}, or Apptainer",
        )
    compiled = [image.name for image in missing if image.compiles]
    if needed and compiled and not (shutil.which("cc") or shutil.which("gcc")):
        yield warned("C compiler", f"none here; image {' '.join(compiled)} needs one to be built", "install gcc")


def _python(version: str) -> Path | None:
    """An interpreter as a build would find it, but nothing is downloaded."""
    import uv

    print_version = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in host_python.candidates(version, os.environ):
        try:
            done = subprocess.run([candidate, "-I", "-c", print_version], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version:
            return candidate
    command = [uv.find_uv_bin(), "python", "find", "--managed-python", "--no-python-downloads", version]
    done = subprocess.run(
        command, capture_output=True, text=True, env=site_settings.uv_environment(), cwd="/", check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None


def _may_download() -> bool:
    return site_settings.uv_environment().get("UV_OFFLINE", "").lower() not in {"1", "true", "yes"}
