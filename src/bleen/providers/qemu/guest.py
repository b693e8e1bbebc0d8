"""What is booted: the files of an image as they are, and beside them, in ``/bleen``, what starts them and looks.

The first process is Debian's busybox: most images have no program that mounts /proc or switches a machine off, and one whose
shell is broken could not say so.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bleen.domain.codec import digest_of
from bleen.domain.image import Digest, File
from bleen.providers.qemu.cpio import Archive

INIT = "bleen/init"
"""The first process, as the kernel is told it."""
_BUSYBOX = "bleen/busybox"
_ANSWER = "bleen/answer.py"
_EMPTY = ("dev", "proc", "root", "run", "sys", "tmp")
"""Folders that every system has, and no image: an empty folder is not content."""
_NO_SERVER = 3

ANSWER = f"""\
import sys
try:
    import http.server, threading, urllib.request
except ModuleNotFoundError as missing:
    print(missing)
    sys.exit({_NO_SERVER})


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"up")


server = http.server.HTTPServer(("127.0.0.1", 8080), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=60) as answer:
    sys.exit(answer.read() != b"up")
"""
"""What the image's own Python is given: it serves HTTP on loopback, and asks itself."""

_HEAD = f"""\
#!/{_BUSYBOX} sh
b=/{_BUSYBOX}
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b ip link set lo up
exec </dev/null >/dev/console 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
ended() {{
  $b echo "$@" >/dev/ttyS1
  $b poweroff -f
  while :; do $b sleep 1; done
}}
up() {{
  read -r seconds rest </proc/uptime
  ended up "$seconds" "$@"
}}
[ "$(/bin/sh -c 'echo up')" = up ] || ended no its shell does not start
"""
_SHELL = """\
up its shell answered
"""
_PYTHON = """\
{python} -I /{answer}
case $? in
  0) up its Python answered ;;
  {no_server}) up its Python started, and has no http.server to answer by ;;
  *) ended no its Python does not answer ;;
esac
"""


class Changed(Exception):
    """A file, its argument, is not what the image's digest says."""


def init_of(runtime: str) -> str:
    """Return the first process of an image with that runtime: it tells the second serial port, and switches off."""
    if not runtime.startswith("cpython-"):
        return _HEAD + _SHELL
    python = f"/usr/bin/{runtime.replace('cpython-', 'python')}"
    return _HEAD + _PYTHON.format(python=python, answer=_ANSWER, no_server=_NO_SERVER)


def looks() -> Digest:
    """Return the digest of how an image is looked at: a changed look counts for no earlier one."""
    return digest_of([init_of("cpython-3"), init_of(""), ANSWER])


def pack(tree: Path, files: Sequence[File], runtime: str, busybox: bytes, target: Path) -> int:
    """Write what is booted to ``target``, the same bytes each time, and return its size.

    Changed where a file of ``tree`` has another content than ``files`` says.
    """
    with target.open("wb") as file:
        archive = Archive(file)
        for folder in _EMPTY:
            archive.folder(folder)
        # Open when the first process starts, before it could make it.
        archive.device("dev/console", 5, 1)
        archive.add(INIT, init_of(runtime).encode(), executable=True)
        archive.add(_ANSWER, ANSWER.encode())
        archive.add(_BUSYBOX, busybox, executable=True)
        for one in files:
            _put(archive, tree, one)
        archive.close()
        return file.tell()


def _put(archive: Archive, tree: Path, file: File) -> None:
    if file.link:
        archive.link(file.path, file.link)
        return
    data = (tree / file.path).read_bytes()
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != file.digest:
        raise Changed(file.path)
    archive.add(file.path, data, executable=file.executable)
