"""Unpacks from a TensorFlow wheel what @tensorflow/tfjs-node needs: python unpack-wheel.py FOLDER-WITH-WHEEL FOLDER."""
import glob
import os
import shutil
import sys
import zipfile

LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
HEADERS = tuple(
    "tensorflow/include/" + start
    for start in ("tensorflow/c/", "tensorflow/core/platform/ctstring", "xla/tsl/c/", "tsl/platform/ctstring")
)

downloads, folder = sys.argv[1:]
(wheel,) = glob.glob(os.path.join(downloads, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        name = entry.filename
        if name in ["tensorflow/" + library for library in LIBRARIES]:
            target = os.path.join(folder, "lib", os.path.basename(name))
        elif name.startswith(HEADERS) and not entry.is_dir():
            target = os.path.join(folder, "include", name[len("tensorflow/include/"):])
        else:
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with archive.open(entry) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)

# What the binding and the package's own scripts look for. The SONAME of libtensorflow_cc is libtensorflow_cc.so.2.
for library, name in zip(LIBRARIES, ("libtensorflow", "libtensorflow_framework")):
    for version in ("", ".2", ".2.9.1"):
        link = os.path.join(folder, "lib", name + ".so" + version)
        if os.path.basename(link) != library:
            os.symlink(library, link)
