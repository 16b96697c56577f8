"""Files of every kind that may lie at data.path: read as they mean it, or refused in one sentence; none
hangs, fills the memory or ends in a traceback."""

import bz2
import gzip
import io
import lzma
import os
import socket
import struct
import warnings
import zipfile

import numpy as np
import pytest
from datafiles import idx_arrays, idx_bytes, write_idx

from nnlab.data import files, npz_members
from nnlab.data.identifiers import find_identifiers
from nnlab.data.in_memory import Arrays as InMemory
from nnlab.data.sources import Csv, Idx, Npz
from nnlab.errors import Advice, UserError

X = np.arange(24.0).reshape(8, 3)
Y = np.array([0, 1] * 4)


def refused(data, *phrases):
    with pytest.raises(UserError) as error:
        data.load()
    message = str(error.value)
    assert all(word in message for word in phrases), message
    assert "\n" not in message and len(message) < 1000
    return message


def table(folder, text, target=-1, **settings):
    (folder / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return Csv(path=str(folder / "t.csv"), target=target, **settings)


def advised(data):
    """The data set, and what is advised."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = data.load()
    assert all(w.category is Advice for w in caught)
    return dataset, " ".join(str(w.message) for w in caught)


# ---- what is not a file, and names that are not names


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        previous_folder = os.getcwd()
        os.chdir(path.parent)  # a socket's path has 108 characters at most
        s.bind(path.name)
        os.chdir(previous_folder)


def a_link_to_itself(path):
    path.symlink_to(path)


NOT_FILES = {
    "pipe": (os.mkfifo, "is a pipe"), "socket": (a_socket, "is a socket"),
    "folder": (os.mkdir, "is a folder"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "circle": (a_link_to_itself, "symbolic links"), "dangling": (lambda p: p.symlink_to("/no"), "no file"),
}  # fmt: skip


@pytest.mark.parametrize("make, message", NOT_FILES.values(), ids=NOT_FILES)
@pytest.mark.parametrize("kind", [Csv, Npz])
def test_what_is_not_a_regular_file_is_never_opened(kind, make, message, tmp_path):
    make(tmp_path / "t")
    refused(kind(path=str(tmp_path / "t")), message)


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_nor_is_one_in_the_folder_of_idx(file, tmp_path):
    write_idx(tmp_path)
    (tmp_path / file).unlink()
    os.mkfifo(tmp_path / file)
    refused(Idx(path=str(tmp_path)), "is a pipe, expected a file")


@pytest.mark.parametrize("kind", [Csv, Npz, Idx])
@pytest.mark.parametrize(
    "path", ["a" * 300, "a/" * 3000, "a\0b", "~nobody-of-this-name/t", "t.csv/inside", "\n"]
)
def test_names_that_no_file_can_have(kind, path, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    refused(kind(path=path if path[0] == "~" else f"{tmp_path}/{path}"))


# ---- what fills the memory


@pytest.fixture
def small_memory(monkeypatch):
    """64 MB are free at first, and 16 MB once something has been read."""
    free = iter([64 * 10**6])
    for module in (files, npz_members):
        monkeypatch.setattr(module, "available_memory", lambda: next(free, 16 * 10**6))
    monkeypatch.setattr("nnlab.data.idx.available_memory", lambda: 64 * 10**6)


def packed(pattern: bytes, count: int) -> bytes:
    """A .gz that holds so many times the pattern."""
    out = io.BytesIO()
    with gzip.open(out, "wb", compresslevel=1) as file:
        for _ in range(count):
            file.write(pattern)
    return out.getvalue()


BOMBS = {
    "lines": b"1,2,3\n" * 10**6,
    "one line": b"1," * 10**6,
    "zeros": bytes(10**6),
    "a quote": b'"' + b"1,2\n" * 10**6,
}


@pytest.mark.parametrize("pattern", BOMBS.values(), ids=BOMBS)
def test_a_small_gz_that_holds_much_ends_in_a_sentence(pattern, small_memory, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "BYTES_BETWEEN_CHECKS", 10**6)
    content = packed(pattern, 20)
    assert len(content) < 10**6
    refused(table(tmp_path, content), "does not fit into memory", "left of 64 MB")


def test_a_line_without_end_is_not_read_to_it(monkeypatch, tmp_path):
    monkeypatch.setattr("nnlab.data.csv_rows.LONGEST_LINE", 1000)
    refused(table(tmp_path, "a,b\n1,2\n" + "1," * 600), "line 3 has 1,000 characters or more")


def test_idx_files_that_announce_much(small_memory, tmp_path):
    write_idx(tmp_path)
    for shape in ((50_000, 60, 60), (2**32 - 1,) * 3):
        huge = bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape)
        (tmp_path / "train-images-idx3-ubyte").write_bytes(huge)
        refused(Idx(path=str(tmp_path)), "does not fit into memory")
    content = packed(bytes(10**6), 30)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        gzip.compress(idx_bytes(np.zeros((9, 4, 4)))) + content
    )
    refused(Idx(path=str(tmp_path)), "more than 1,048", "announces 160")


def npy_bytes(shape, descr="<f8", data=b"", version=1) -> bytes:
    """A .npy by its header, whatever follows."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def zipped(folder, **contents):
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(f"{name}.npy", content)
    return Npz(path=str(folder / "a.npz"))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("shape, phrases", [
    ((10**12, 3), "damaged"), ((10**12,), "damaged"), ((2**62, 2**62), "damaged"), ((-1, 3), "damaged"),
    ((10**12, 0), "shape"), ((9, 9), "damaged"), (("a", 2), "damaged"), ((), "shape ()"),
])  # fmt: skip
def test_shapes_that_are_only_announced(shape, phrases, version, tmp_path):
    data = zipped(
        tmp_path, X=npy_bytes(shape, data=bytes(8), version=version), y=npy_bytes((8,), data=Y.tobytes())
    )
    refused(data, "a.npz", phrases)


@pytest.mark.parametrize("array", ["X", "y"])
def test_zeros_that_are_packed_well(array, small_memory, tmp_path):
    arrays = {"X": X, "y": Y} | {array: np.zeros((3 * 10**6, 3))}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    refused(Npz(path=str(tmp_path / "a.npz")), "does not fit into memory")


# ---- arrays as numpy may save them

REAL = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g"]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", REAL)
def test_every_real_dtype_in_either_byte_order_trains_alike(dtype, layout, order, tmp_path):
    import torch

    dtype = np.dtype(dtype).newbyteorder(order)
    x = np.random.default_rng(0).integers(2, size=(8, 3)).astype(dtype, order=layout)
    np.savez(tmp_path / "a.npz", X=x, y=Y.astype(dtype))
    dataset = Npz(path=str(tmp_path / "a.npz"), normalization="none").load()
    assert np.array_equal(dataset.x, x.astype(float)) and dataset.classes == ("0", "1")
    assert dataset.x.flags.c_contiguous and np.array_equal(dataset.y, Y)
    assert torch.equal(torch.from_numpy(dataset.x).double(), torch.from_numpy(x.astype(float, order="C")))


@pytest.mark.parametrize("y", [
    np.array(["no", "yes"] * 4, "<U3"), np.array(["no", "yes"] * 4, ">U3"), np.array([b"no", b"yes"] * 4),
])  # fmt: skip
def test_labels_of_text_or_bytes(y, tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=y)
    dataset = Npz(path=str(tmp_path / "a.npz")).load()
    assert dataset.classes == ("no", "yes") and np.array_equal(dataset.y, Y)


@pytest.mark.parametrize("array", [
    X * 1j, X.astype("M8[s]"), X.astype("m8[s]"), X.astype("U"), X.astype("S"), X.astype("V8"),
    np.zeros(8, [("a", "f4"), ("b", "i4")]), np.zeros((8, 3), "V0"), np.zeros((0, 3)), np.zeros((8, 0)),
    np.float64(3), X[0], X.astype(object), np.array([None] * 8), np.where(X == 4, np.inf, X),
    np.where(X == 4, np.longdouble("1e4000"), X.astype(np.longdouble)),
], ids=lambda a: f"{a.dtype}{a.shape}")  # fmt: skip
def test_arrays_that_are_no_table_of_numbers(array, tmp_path):
    np.savez(tmp_path / "a.npz", X=array, y=Y)
    refused(Npz(path=str(tmp_path / "a.npz")), "a.npz: X")
    if array.ndim == 2:
        np.savez(tmp_path / "a.npz", X=X, y=array)
        refused(Npz(path=str(tmp_path / "a.npz"), task="regression"), "a.npz: y")


def test_an_archive_in_every_way_of_packing_and_naming(tmp_path):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        for ending in (".npy", ""):
            with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as file:
                for name, array in (("X", X), ("y", Y)):
                    np.save(out := io.BytesIO(), array)
                    file.writestr(name + ending, out.getvalue())
            assert np.array_equal(Npz(path=str(tmp_path / "a.npz")).load().x, X)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_archives_that_are_cut_or_changed_anywhere(compression, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as file:
        for name, array in (("X", X), ("y", Y)):
            np.save(out := io.BytesIO(), array)
            file.writestr(f"{name}.npy", out.getvalue())
    whole, random = (tmp_path / "a.npz").read_bytes(), np.random.default_rng(0)
    for offset in range(0, len(whole), 9):
        for content in (whole[:offset], _changed(whole, offset, random)):
            (tmp_path / "a.npz").write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Advice)
                try:
                    Npz(path=str(tmp_path / "a.npz")).load()
                except UserError as e:
                    assert "\n" not in str(e)


def _changed(content: bytes, offset: int, random) -> bytes:
    return content[:offset] + random.bytes(4) + content[offset + 4 :]


def test_members_that_are_no_arrays(tmp_path):
    refused(zipped(tmp_path, X=b"1,2\n", y=b""), "X is not an array of numpy")
    refused(zipped(tmp_path, X=b"", y=b""), "X is not an array of numpy")
    refused(zipped(tmp_path, X=npy_bytes((8, 3), "|O"), y=b""), "Python objects")
    refused(zipped(tmp_path, X=npy_bytes((8, 3), "__import__('os')"), y=b""), "damaged")
    refused(zipped(tmp_path, X=npy_bytes((8, 3), data=X.tobytes() + b"1"), y=b""), "damaged")
    flagged = bytearray((tmp_path / "a.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flagged[flagged.index(signature) + flags] |= 1
    (tmp_path / "a.npz").write_bytes(flagged)
    refused(Npz(path=str(tmp_path / "a.npz")), "encrypted")


# ---- a test set of the data's own, and images


@pytest.mark.parametrize("names", [("X", "y", "X_test", "y_test"), ("x_train", "y_train", "x_test", "y_test"),
                                   ("X_train", "y_train", "X_test", "y_test")])  # fmt: skip
@pytest.mark.parametrize("y", [Y, np.array(["a", "b"] * 4), np.eye(2)[Y], X[:, :2], X[:, 0] + 0.5])
def test_the_test_set_in_the_file_is_the_test_set(y, names, tmp_path):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X, y, 2 * X[:4], y[:4]), strict=True)))
    dataset, _ = advised(Npz(path=str(tmp_path / "a.npz")))
    assert np.array_equal(dataset.test, [8, 9, 10, 11]) and np.array_equal(dataset.x[8:], 2 * X[:4])
    assert np.array_equal(dataset.y[8:], dataset.y[:4])


@pytest.mark.parametrize("changes, phrases", [
    ({"y_test": None}, "X_test but no y_test"), ({"X_test": None}, "y_test but no X_test"),
    ({"X_test": X[:4, :2]}, "differ in more than the number"),
    ({"X_test": X[:3]}, "y_test has the shape (4,)"),
    ({"y_test": np.array(list("abab"))}, "one is text and the other numbers"),
    ({"X_test": np.where(X[:4] == 4, np.nan, X[:4])}, "X_test[1, 1] is nan"),
    ({"X_test": X[:0], "y_test": Y[:0]}, "X_test has the shape (0, 3)"),
])  # fmt: skip
def test_test_sets_that_do_not_fit(changes, phrases, tmp_path):
    arrays = {"X": X, "y": Y, "X_test": X[:4], "y_test": Y[:4]} | changes
    np.savez(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    refused(Npz(path=str(tmp_path / "a.npz")), phrases)


def test_a_class_that_only_the_test_set_has(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y, X_test=X[:4], y_test=[0, 1, 0, 7])
    dataset, advice = advised(Npz(path=str(tmp_path / "a.npz")))
    assert dataset.classes == ("0", "1", "7") and "class '7' is in the test set alone" in advice


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (2, 2, 2, 2)])
def test_images_are_flattened_row_by_row(shape, tmp_path):
    x = np.random.default_rng(0).integers(256, size=(8, *shape)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=np.asfortranarray(x), y=Y, X_test=x[:2], y_test=Y[:2])
    dataset, advice = advised(Npz(path=str(tmp_path / "a.npz")))
    assert np.array_equal(dataset.x[:8], x.reshape(8, -1)) and dataset.x.dtype == np.uint8
    assert f"the {'x'.join(map(str, shape))} numbers of an example" in advice
    last = dict(zip(dataset.features, dataset.x[0], strict=True))
    assert last["pixel_" + "_".join(str(n - 1) for n in shape)] == x[(0, *(n - 1 for n in shape))]


# ---- headers

HEADERS = {  # name: (first line, target, its names; none if it is an example)
    "words": ("a,b,c,target", "target", ["a", "b", "c"]),
    "pandas": ("0,1,2,target", "target", ["0", "1", "2"]),
    "pandas, by number": ("0,1,2,target", -1, ["0", "1", "2"]),
    "pandas, with its index": (",0,1,target", "target", ["column 0", "0", "1"]),
    "years": ("2019,2020,2021,land", "land", ["2019", "2020", "2021"]),
    "years, by number": ("2019,2020,2021,land", -1, None),
    "an example": ("1,2,3,yes", -1, None),
    "an example that counts": ("0,1,2,yes", -1, None),
    "an example of points": ("0.1,2.5,3.5,no", -1, None),
    "quoted": ('"0","1","2","target"', "target", ["0", "1", "2"]),
    "spaces": ("0, 1, 2, target", "target", ["0", "1", "2"]),
    "quantiles": ("id,0.25,0.5,y", -1, ["id", "0.25", "0.5"]),
    "quantiles alone": ("0.25,0.5,0.75,land", -1, None),
    "quantiles, by name": ("0.25,0.5,0.75,land", "land", ["0.25", "0.5", "0.75"]),
    "a number below 0": ("a,-1,c,y", "y", ["a", "-1", "c"]),
    "one word": ("1,1,c,2", 3, ["1", "1", "c"]),
    "a word further on": ("-1,1e3,c,7", 3, ["-1", "1e3", "c"]),
    "an example with a gap": ("0.5,1,2,no", -1, None),
}  # fmt: skip


@pytest.mark.parametrize("first, target, features", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_first_line_is_a_header_or_an_example(first, target, features, ending, tmp_path):
    lines = [f"{i % 3}.5,{i * 7 % 5},{i % 4},{'yes' if i % 2 else 'no'}" for i in range(20)]
    data = table(tmp_path, ending.join([first, *lines, ""]), target=target)
    if features is None and "land" in first:
        refused(data, f"its first line, {first.replace(',', ', ')}, may be the names", "data.target='land'")
        return
    dataset, _ = advised(data)
    if features is None:
        assert len(dataset.x) == 21 and dataset.features == ("0", "1", "2") and len(dataset.classes) == 2
    else:
        assert len(dataset.x) == 20 and list(dataset.features) == features and len(dataset.classes) == 2


@pytest.mark.parametrize("first, target, advice", [
    ("0,1,2,3", 3, "taken for the names"), ("2020,2021,2022,price", -1, "taken for the names"),
    ("0,1,2,price", -1, ""), ("2020,2021,2022,2023", 2023, ""),
])  # fmt: skip
def test_numbers_above_numbers(first, target, advice, tmp_path):
    lines = [f"{i % 3}.5,{i * 7 % 5},{i % 4},{i}.25" for i in range(30)]
    dataset, advice_text = advised(table(tmp_path, "\n".join([first, *lines]), target=target))
    assert (
        len(dataset.x) == 30
        and not dataset.classes
        and (advice in advice_text if advice else not advice_text)
    )
    assert list(dataset.features) == first.split(",")[:3]


NUMBERS_AS_NAMES = ["1e3", "0.9", "true", "null", "007", "1_000", "-0.5", "inf", "nan", "x"]


@pytest.mark.parametrize("name", NUMBERS_AS_NAMES)
@pytest.mark.parametrize("others", ["a,b", "3.5,7.25"], ids=["words", "numbers"])
def test_a_target_is_named_as_it_was_typed(name, others, tmp_path):
    lines = [f"{i % 3},{i % 4}.5,{i}.25" for i in range(30)]
    dataset, _ = advised(table(tmp_path, "\n".join([f"{others},{name}", *lines]), target=name))
    assert len(dataset.x) == 30 and dataset.target_names == (name,)


@pytest.mark.parametrize("labels", [["x", "1"], ["1", "2", "x"], ["1"] * 150 + ["x"]], ids=len)
def test_a_label_above_labels_that_are_numbers(labels, tmp_path):
    """An example of a class called x is no line of names, if others of the class follow."""
    lines = [f"{i % 7},{i * 3 % 5},{label}" for i, label in enumerate(["x", *labels * 4])]
    dataset, _ = advised(table(tmp_path, "\n".join(lines), task="classification"))
    assert len(dataset.x) == len(lines) and "x" in dataset.classes


def test_a_number_that_is_a_name_elsewhere(tmp_path):
    lines = [f"{i % 3}.5,{i * 7 % 5},{i}.25" for i in range(30)]
    dataset, advice = advised(table(tmp_path, "\n".join(["y,2,1", *lines]), target=1))
    assert dataset.target_names == ("2",) and "the column named 1 is number 2" in advice


def test_a_header_of_many_columns(tmp_path):
    names = ",".join(f"measured_value_{i}" for i in range(25_000))
    cells = "\n".join(",".join(["1", "2"] * 12_500) + f",{c}" for c in "abab")
    dataset = table(tmp_path, f"{names},t\n{cells}\n", target="t").load()
    assert dataset.x.shape == (4, 25_000) and dataset.features[-1] == "measured_value_24999"


# ---- labels are names

NUMERIC = [
    (["1", "2"], 2),
    (["1", "1.0", "2"], 2),
    (["-1", "+1"], 2),
    (["1e0", "1", "3"], 2),
    ([".5", "0.5", "1"], 2),
]
NAMES = [
    (["01", "1", "2"], 3), (["007", "7"], 2), (["inf", "sup", "low"], 3), (["nan", "yes", "no"], 3),
    (["1_0", "10"], 2), (["Yes", "yes", "no"], 3), (["e\u0301", "\u00e9"], 2), (["a b", "a  b"], 2),
    (["9007199254740993", "9007199254740992"], 2), (["a\u200b", "a"], 2), (["1", "b"], 2), (["-", "+"], 2),
    (["00", "0"], 2), (["=1+1", "@a"], 2), (["\u0661", "1"], 2),
]  # fmt: skip


@pytest.mark.parametrize("labels, count", [*NUMERIC, *NAMES], ids=str)
def test_labels_are_told_apart(labels, count, tmp_path):
    lines = [f"{i % 7},{i * 3 % 5},{label}" for i in range(10) for label in labels]
    dataset, advice_text = advised(
        table(tmp_path, "\n".join(["a,b,code", *lines]), "code", task="classification")
    )
    assert len(dataset.classes) == count and np.array_equal(np.unique(dataset.y), np.arange(count))
    for i, label in enumerate(labels):
        name = dataset.classes[dataset.y[i]]
        assert name == label or float(name) == float(label)
    alike = [
        pair
        for pair in (["01", "1"], ["Yes", "yes"], ["e\u0301", "\u00e9"], ["a b", "a  b"])
        if set(pair) <= set(labels)
    ]
    assert all("read alike" in advice_text for _ in alike) and ("nan" in labels) == (
        "not a missing label" in advice_text
    )


def test_arrays_of_text_are_told_apart_alike(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=np.array(["01", "1", "1.0", "1"] * 2))
    dataset, advice = advised(Npz(path=str(tmp_path / "a.npz")))
    assert dataset.classes == ("01", "1", "1.0") and "'01' and '1' read alike" in advice


# ---- targets that are no classes


@pytest.mark.parametrize("label", [
    lambda i: f"name {i}", lambda i: f"{i}", lambda i: f"{i / 7:.6f}", lambda i: f"{i:08d}",
    lambda i: f"k{i - i % 3 * (i % 9 == 0)}",
])  # fmt: skip
def test_a_column_of_names_is_refused_before_anything_is_made(label, tmp_path):
    lines = [f"{i % 7},{i * 3 % 5},{label(i)}" for i in range(5000)]
    message = refused(
        table(tmp_path, "\n".join(["a,b,id", *lines]), "id", task="classification"), "have one example"
    )
    assert "column 'id'" in message and "in 5,000 examples" in message


def test_so_is_one_of_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((90, 2)), y=np.array([f"{i}" for i in range(90)]))
    refused(Npz(path=str(tmp_path / "a.npz")), "90 classes in 90 examples")


# ---- text that is no table

TEXTS = {  # name: (content, words)
    "nul": ("a,t\n1\0,0\n", "is not a number"), "only nul": (bytes(1000), "one column"),
    "nul in the header": ("a\0,t\n1,0\n2,1\n", ""), "blank lines": ("\n\r\n \r\r\n", "is empty"),
    "an open quote": ('a,t\n1,"yes\n2,no\n', "line 2: a quote begins a cell and is never closed"),
    "an open quote above": ('"a,t\n1,2\n', "line 1: a quote"),
    "behind a quote": ('a,t\n1,"yes" no\n', "continues after its closing quote"),
    "utf-16": ("a,t\n1,2\n".encode("utf-16"), "UTF-8"), "zip": (b"PK\x03\x04" + bytes(range(256)), "UTF-8"),
    "bz2": (bz2.compress(b"a,t\n1,2\n"), "UTF-8"), "xz": (lzma.compress(b"a,t\n1,2\n"), "UTF-8"),
    "gz of gz": (gzip.compress(gzip.compress(b"a,t\n1,2\n")), "UTF-8"), "half a gz": (b"\x1f\x8b", "gzip"),
    "long name": ("a" * 10**5 + ",t\n1,x\ny,z\n", "(100,000 characters)"),
    "long label": ("a,t\n" + f"1,{'x' * 10**5}\n" * 3, "(100,000 characters)"),
}  # fmt: skip


@pytest.mark.parametrize("content, phrases", TEXTS.values(), ids=TEXTS)
def test_text_that_is_no_table(content, phrases, tmp_path):
    data = table(tmp_path, content)
    if phrases:
        refused(data, "t.csv", phrases)
    else:
        data.load()


def test_mixed_line_ends(tmp_path):
    dataset = table(tmp_path, "a,t\r\n1,0\n2,1\r3,0\r\n\r\n4,1").load()
    assert dataset.x.ravel().tolist() == [1, 2, 3, 4] and dataset.y.tolist() == [0, 1, 0, 1]


def test_random_bytes_are_refused_in_one_sentence(tmp_path):
    random = np.random.default_rng(0)
    letters = b'0123456789.,;\t\n\r"ex-+ \0ainf\xc3\xa9#'
    for n in range(120):
        some = bytes(random.choice(list(letters), random.integers(1, 200)).tolist())
        for data in (table(tmp_path, some), table(tmp_path, gzip.compress(some)[: random.integers(5, 60)])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Advice)
                try:
                    data.load()
                except UserError as e:
                    assert str(e).count("\n") == 0, (n, some)


def test_random_idx_files(tmp_path):
    random, arrays = np.random.default_rng(0), idx_arrays()
    for _ in range(80):
        write_idx(tmp_path)
        file = tmp_path / random.choice(list(arrays))
        content = file.read_bytes()
        place = int(random.integers(len(content))) if random.random() < 0.3 else int(random.integers(20))
        file.write_bytes(_changed(content, place, random) if random.random() < 0.7 else content[:place])
        try:
            Idx(path=str(tmp_path)).load()
        except UserError as e:
            assert "\n" not in str(e)


def saved_y(path, y):
    np.savez(path, X=np.random.default_rng(0).normal(size=(80, 3)), y=y)
    return Npz(path=str(path)).load()


@pytest.mark.parametrize("ids", [(2**64 - 1, 2**64 - 2, 5, 6), (2**63, 2**63 + 1), (2**53, 2**53 + 1, 7)])
def test_class_numbers_that_only_64_bits_tell_apart_stay_apart(ids, tmp_path):
    y = np.array((list(ids) * 80)[:80], np.uint64)
    dataset = saved_y(tmp_path / "u.npz", y)
    assert dataset.classes == tuple(map(str, sorted(ids)))
    assert [dataset.classes[c] for c in dataset.y] == [str(v) for v in y.tolist()]


@pytest.mark.parametrize("code", [0xFFFFFFFF, 0x110000, 0xD800, 0xDFFF])
def test_text_of_codes_that_are_no_characters_is_a_sentence(code, tmp_path):
    y = np.array(["a", "b"] * 40)
    y.view(np.uint32)[3] = code
    with pytest.raises(UserError, match="not characters"):
        saved_y(tmp_path / "t.npz", y)
    with pytest.raises(UserError, match="not characters"):
        InMemory(np.zeros((80, 2)), y)


def test_arrays_that_are_not_read_are_named(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    np.savez(tmp_path / "v.npz", X=x, y=y, X_val=x, y_val=y, sample_weight=y)
    with pytest.warns(Advice, match="not read: X_val, y_val, sample_weight"):
        Npz(path=str(tmp_path / "v.npz")).load()


def test_numbers_near_the_largest_make_no_noise(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3)) * [1, 1e306, 1e307]
    x[0, 1], x[1, 1] = 1.7e308, -1.7e308
    assert find_identifiers(x, ("a", "b", "c"), np.arange(60) % 2) == {}
