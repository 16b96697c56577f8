"""Random mutations of tabular and array files: CSV, IDX, npy and npz."""

import io
import math
import struct
import warnings
import zipfile
from random import Random

import numpy as np

ODD_CELLS = (
    "", " ", "nan", "NaN", "inf", "-inf", "1e400", "1e-400", "-0", "0x10", "1_000", "\u0661", "\uff11",
    '"', '"a', 'a"b', '""', "'", "\x00", "\r", "\ufeff", "\u00e9", "\u202e", "9" * 400, "9" * 5000,
    "=1+1", "x" * 200_000,
    "NULL", "NA", "N/A", "?", "1,5", "1;5", "1.000,5", "12%", "$3", "2001-01-01", "true", "a\nb", '"a\nb"',
    "\x1b[2J", "\ud7ff", "1e308", "5e-324", "0", "1", "-1", "+1", ".5", "5.", "1e5", "word", "null", "None",
)  # fmt: skip
ODD_COUNTS = (0, 1, 2, 3, 255, 256, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
ODD_DTYPES = (
    "?", "i1", "<i8", ">i8", "<u2", "<u8", "<f2", ">f4", ">f8", "<c8", "<c16", "<M8[s]", "<m8[s]", "S3", "U3",
    ">U3", "S0", "V4", "O", "g", "<i4", [("a", "<f4"), ("b", "O")], [("a", "<f8", (2,))],
)  # fmt: skip
ODD_NUMBERS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, 1e30, 2.0**53)
ARRAY_NAMES = (
    "X", "x", "y", "Y", "X_train", "X_test", "y_test", "../x", "/etc/passwd", "", "a" * 300, "\u00e9", "a/b",
    "a\nb",
)  # fmt: skip


def mutated_csv(data: bytes, random: Random) -> bytes:
    text = data.decode()
    delimiter = max("\t;,", key=text.count)
    rows = [line.split(delimiter) for line in text.splitlines()]
    at = random.randrange(len(rows))
    column = random.randrange(len(rows[0]))
    mutation = random.choice(("cell", "cell", "cell", "column", "header", "shape", "dialect", "encoding"))
    if mutation == "cell":
        rows[at][random.randrange(len(rows[at]))] = random.choice(ODD_CELLS)
    elif mutation == "column":
        odd = random.choice((random.choice(ODD_CELLS), *"01"))
        for row in rows[random.randrange(2) :]:
            row[column] = odd if len(odd) < 100 else "x"
    elif mutation == "header":
        cells = random.choice((rows[0][:1] * len(rows[0]), [*map(str, range(len(rows[0])))], rows[-1], [""]))
        rows[0] = [*cells]
    elif mutation == "shape":
        rows = random.choice(
            (
                rows[1:], rows[:1], rows[:2], rows[:0], [row[:1] for row in rows],
                [[*row, ""] for row in rows],
                rows[:at] + rows[at + 1 :], [*rows, rows[at][:-1]], [row * 40 for row in rows], rows[::-1],
                [[], *rows], [*rows[:at], [], [""], *rows[at:]], rows[:1] + rows,
            )
        )  # fmt: skip
    if mutation == "dialect":
        delimiter = random.choice(("\t", ";", ",", "|", " ", ", "))
    end = random.choice(("\n", "\r\n", "\r", "\n\n", "\n", "\n"))
    text = end.join(delimiter.join(row) for row in rows) + random.choice((end, "", end * 3))
    encoding = (
        random.choice(("utf-16", "latin-1", "utf-8-sig", "utf-32")) if mutation == "encoding" else "utf-8"
    )
    return text.encode(encoding, "replace")


def mutated_idx(data: bytes, random: Random) -> bytes:
    """Another kind of numbers, number of dimensions, or dimension than the content has."""
    data = bytearray(data)
    dimensions = data[3]
    mutation = random.choice(("magic", "count", "count", "dimensions", "content", "all"))
    if mutation == "magic":
        data[random.randrange(4)] = random.choice((0, 1, 2, 3, 4, 8, 9, 0xB, 0xD, 255))
    elif mutation == "count":
        at = 4 + 4 * random.randrange(dimensions)
        data[at : at + 4] = struct.pack(">I", random.choice(ODD_COUNTS))
    elif mutation == "dimensions":
        other = random.randrange(6)
        counts = [random.choice(ODD_COUNTS) for _ in range(other)]
        data[3 : 4 + 4 * dimensions] = bytes([other]) + struct.pack(f">{other}I", *counts)
    elif mutation == "content":
        del data[random.randrange(4 + 4 * dimensions, len(data) + 1) :]
        data += random.randbytes(random.choice((0, 1, 100)))
    else:
        data[4 + 4 * dimensions :] = bytes([random.choice((0, 1, 255))]) * (len(data) - 4 - 4 * dimensions)
    return bytes(data)


# ---- numpy


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def mutated_npy(data: bytes, random: Random) -> bytes:
    """Another array, or another header before the same numbers."""
    if random.random() < 0.5:
        return npy_bytes(_another_array(np.load(io.BytesIO(data)), random))
    version, length = data[6], struct.unpack("<H", data[8:10])[0]
    header, content = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    shape = random.choice(
        (
            "()", "(0,)", "(-1,)", "(1, 2, 3)", "(2**9,)", "(1e3,)", f"({10**18}, {10**18})", "(True, 2)",
            "[3]", "'x'",
            "(60, 3)", "(60,)", "(3, 60)", "(0, 5)", f"({10**400},)", "(None,)", "(4294967296, 4294967296)",
        )
    )  # fmt: skip
    dtype = random.choice(
        (*map(repr, ODD_DTYPES), "'|O'", "'x'", "''", "[[]]", "{}", "None", "'f8,' * 9", "('f8', (9, 9))")
    )
    entries = {"descr": dtype, "fortran_order": random.choice(("True", "False", "1", "None")), "shape": shape}
    field = random.choice(("descr", "shape", "fortran_order", "none"))
    old = header.strip().rstrip("}").lstrip("{")
    header = random.choice(
        (
            f"{{{', '.join(f'{key!r}: {value}' for key, value in entries.items() if key != field)}, {old}}}",
            f"{{{old} {field!r}: {entries.get(field, 'x')}}}",
            f"{{{', '.join(f'{key!r}: {value}' for key, value in entries.items())}}}",
            "__import__('os').system('touch executed')", "{" * 3000, "(" * 90, "", "{}", "x" * 9999,
            "-" * 9000 + "1", "1" + "+1" * 4000, "{'shape': 1a}", "1" * 9000, "1**" * 3000 + "1",
        )
    )  # fmt: skip
    length = random.choice((len(header), len(header), len(header), 0, 65535, len(header) + 1))
    version = random.choice((version, version, 1, 2, 3, 9, 0))
    size = struct.pack("<H" if version == 1 else "<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode("latin-1") + content


def _another_array(array: np.ndarray, random: Random) -> np.ndarray:
    mutation = random.choice(("dtype", "shape", "number", "number", "constant", "object", "text"))
    if mutation == "dtype":
        dtype = random.choice(ODD_DTYPES)
        with np.errstate(all="ignore"):
            return np.zeros(array.shape, dtype) if random.random() < 0.3 else array.astype(np.dtype(dtype))
    if mutation == "shape":
        shapes = (
            (),
            (0,),
            (0, 3),
            (len(array), 0),
            (1,),
            (1, 1),
            (2, 2, 2),
            (len(array), 1),
            (1, *array.shape),
        )
        return np.resize(array, random.choice(shapes))
    if mutation == "object":
        return np.array([None, {}, print] * 20, object)
    if mutation == "text":
        return np.array(random.choices(("a", "b", "=1+1", "\x00", "\x1b[2J", "", "9" * 400), k=len(array)))
    array = array.copy()
    if mutation == "constant":
        array[:] = 1
    elif array.size and array.dtype.kind in "fc":
        with np.errstate(over="ignore"):
            array.flat[random.randrange(array.size)] = random.choice(ODD_NUMBERS)
    elif array.size and array.dtype.kind in "iu":
        array.flat[random.randrange(array.size)] = random.choice((0, 1, -1, 100)) % 128
    return array


def mutated_npz(data: bytes, random: Random) -> bytes:
    """Members changed, renamed, doubled, added; compressed in other ways; sizes that are not true."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    pairs = [*members.items()]
    at = random.randrange(len(pairs))
    name, content = pairs[at]
    mutation = random.choices(
        ("array", "name", "remove", "double", "add", "archive", "bomb"), (60, 20, 9, 9, 9, 30, 1)
    )[0]
    if mutation == "array":
        pairs[at] = name, mutated_npy(content, random)
    elif mutation == "name":
        pairs[at] = random.choice(ARRAY_NAMES) + random.choice((".npy", ".npy", "")), content
    elif mutation == "remove":
        del pairs[at]
    elif mutation == "double":
        pairs.append((random.choice((name, name.lower(), name.upper())), content))
    elif mutation == "add":
        pairs.append((random.choice(ARRAY_NAMES) + ".npy", random.choice((content, b"", b"x" * 100))))
    elif mutation == "bomb":
        pairs[at] = name, npy_bytes(np.zeros((1, 2**23)))
    file = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    method = random.choices(methods, (20, 20, 1, 1))[0]  # the last two are slow
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # two of one name
        for name, content in pairs:
            _add(archive, name, content)
    data = bytearray(file.getvalue())
    if mutation == "archive":
        sign = random.choice((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))
        at = data.find(sign)
        for _ in range(random.randrange(1, 4)):  # sizes, flags, methods and offsets are in its head
            offset = at + random.randrange(4, 46)
            if offset < len(data):
                data[offset] = random.choice((0, 1, 8, 9, 99, 127, 255))
    return bytes(data)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name or "x")
    info.filename, info.compress_type = name, archive.compression
    archive.writestr(info, content)
