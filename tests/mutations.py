"""Random mutations of files: bytes, JSON, YAML, safetensors and gzip; for fuzzing.

`mutated` knows the format of a file by its name, and changes a value of it, or bytes whatever they mean;
`replace_by_another_kind` puts a link, a pipe, a device or a folder into its place.
"""

import gzip
import json
import math
import os
import re
import struct
from pathlib import Path
from random import Random

import mutated_arrays
import yaml

ODD_VALUES = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**18, 10**400, 1e308, 5e-324, -0.0, math.inf, math.nan, "",
    "word", "null", "../..", "/etc/passwd", "${seed}", "${oc.env:HOME}", "=1+1", "\x00", "a\nb", "\x1b[2J",
    "\ud800", [], {}, [None], [[]], ["a", ["b"]], {"a": {"b": 1}}, {"1": 2}, "x" * 3000, [1] * 3000,
)  # fmt: skip
ODD_BYTES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b",,,", b"}{", b": - [", b"'", b'"', b"\t",
    b"1e400", b"&a *a", b"NaN", b"-Infinity", b"9" * 5000, b"\xed\xa0\x80", b"\\ud800",
    b"\x1b]0;x\x07", b"\xe2\x80\xae",
)  # fmt: skip
ODD_YAML = (
    "!!python/object/apply:os.system ['touch executed']", "!!python/name:os.system", "!!binary '&'",
    "!!set x",
    "!!timestamp x", "2001-04-31", "&a [*a]", "*nothing", "<<: {a: 1}", "? [a]\n: b", "- a", "1e999", "0o9",
    "%YAML 9.9", "---\n", "...\n", "!x y", "{a: &b 1, c: *b}", "=", "1_000", "12:30:45", "~", "${a:${b}}",
    "!!float x", "!!int ''", "'", '"\\x"', "|", ">9", "@", "`", "\t",
)  # fmt: skip
ALIASES_THAT_MULTIPLY = "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}' if level else '1'] * 9)}]\n" for level in range(9)
)
LARGEST_MUTANT = 2**21  # bytes
DEEP_SHARE = 0.002  # of the files: nothing but brackets


DEEP = tuple(sign * 2**19 for sign in (b"[", b"{", b"- ", b'{"a":', b"(")) + (b"[" * 2**18 + b"]" * 2**18,)


def mutated(name: str, data: bytes, random: Random) -> bytes:
    """The content of the file of that name, changed once or more."""
    of_format = next((f for suffix, f in BY_SUFFIX.items() if name.endswith(suffix)), None)
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        change = of_format if of_format and random.random() < 0.7 else mutated_bytes
        try:
            data = change(data, random)
        except Exception:  # an earlier change left nothing of that format
            data = mutated_bytes(data, random)
        data = data[:LARGEST_MUTANT]
    if random.random() < DEEP_SHARE:
        return random.choice(DEEP)
    return data


# ---- Bytes


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Bytes changed, cut, inserted or doubled, whatever they mean."""
    data, at = bytearray(data), random.randrange(len(data) + 1)
    mutation = random.choice(
        ("cut", "flip", "flip", "insert", "insert", "remove", "double", "number", "rare")
    )
    span = random.choice((1, 2, 4, 8, 100))
    if mutation == "cut":
        del data[at:]
    elif mutation == "flip" and data:
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
    elif mutation == "insert":
        data[at:at] = random.choice(ODD_BYTES)
    elif mutation == "remove":
        del data[at : at + span]
    elif mutation == "double":
        data[at:at] = data[at : at + span] * random.choice((1, 2, 50))
    elif mutation == "number":
        return _with_another_number(bytes(data), random)
    elif mutation == "rare":
        return random.choice(
            (
                b"",
                b"\n",
                random.randbytes(200),
                b"[" * 3000 + b"]" * 3000,
                data + data,
                b"{" * 5000,
                bytes(5000),
            )
        )
    return bytes(data)


def _with_another_number(data: bytes, random: Random) -> bytes:
    """A number that is written in digits, by another."""
    numbers = [*re.finditer(rb"-?\d+(\.\d+)?(e[-+]?\d+)?", data[:100_000])]
    if not numbers:
        return data
    chosen = random.choice(numbers)
    another = (
        b"-1",
        b"0",
        b"1e400",
        b"-1e400",
        b"1e-400",
        b"9" * 25,
        b"9" * 4400,
        b"nan",
        b"NaN",
        b"-0",
        b"1.5",
        b"",
        b'"1"',
    )
    return data[: chosen.start()] + random.choice(another) + data[chosen.end() :]


# ---- Trees: JSON, lines of JSON, YAML, the header of safetensors


def changed_tree(tree, random: Random):
    """The tree with one of its values, or keys, changed."""
    places = [([], tree)]
    for path, node in places:  # it grows
        each = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        places += [([*path, key], child) for key, child in each]
        if len(places) > 5000:
            break
    path, node = random.choice(places)
    value = random.choice(ODD_VALUES)
    if not path:
        return value
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    mutation = random.choice(("replace", "replace", "remove", "wrap", "rename", "add", "copy"))
    if mutation == "remove":
        del parent[path[-1]]
        return tree
    if mutation in ("rename", "add") and isinstance(parent, dict):
        name = random.choice(
            ("", "a", "x" * 500, "../a", "a/b", "=1", "a\nb", "\x1b[2J", "__class__", *parent)
        )
        parent[name] = parent.pop(path[-1]) if mutation == "rename" else value
        return tree
    if mutation == "copy":
        value = random.choice(places)[1]
    elif mutation == "wrap":
        value = random.choice(([node], {"a": node}, [node] * 200))
    parent[path[-1]] = value
    return tree


def mutated_json(data: bytes, random: Random) -> bytes:
    return json.dumps(changed_tree(json.loads(data), random)).encode()


def mutated_json_lines(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines))
    mutation = random.choice(("tree", "tree", "tree", "copy", "remove", "shuffle"))
    if mutation == "tree":
        lines[at] = mutated_json(lines[at], random) + b"\n"
    elif mutation == "copy":
        lines.insert(random.randrange(len(lines)), lines[at])
    elif mutation == "remove":
        del lines[at]
    else:
        random.shuffle(lines)
    return b"".join(lines)


def mutated_yaml(data: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        tree = changed_tree(yaml.safe_load(data), random)
        return yaml.safe_dump(tree, sort_keys=False).encode("utf-8", "surrogatepass")
    lines = data.decode().splitlines(keepends=True) or [""]
    at = random.randrange(len(lines))
    key, colon, _ = lines[at].partition(":")
    odd = random.choice(ODD_YAML)
    mutation = random.choice(("value", "value", "line", "indent", "copy", "aliases"))
    if mutation == "value":
        lines[at] = f"{key}{colon} {odd}\n"
    elif mutation == "line":
        lines.insert(at, odd + "\n")
    elif mutation == "indent":
        lines[at] = random.choice((" ", "\t", "- ")) + lines[at]
    elif mutation == "copy":
        lines.insert(random.randrange(len(lines)), lines[at])
    else:
        lines.append(ALIASES_THAT_MULTIPLY)
    return "".join(lines).encode()


def mutated_safetensors(data: bytes, random: Random) -> bytes:
    """The header another tree, or another length than it says; or a tensor's numbers extreme."""
    length = struct.unpack("<Q", data[:8])[0]
    header, content = data[8 : 8 + length], data[8 + length :]
    mutation = random.choice(("tree", "tree", "tree", "length", "numbers", "content"))
    if mutation == "tree":
        header = mutated_json(header, random)
    elif mutation == "numbers":
        odd = struct.pack("<f", random.choice((math.nan, math.inf, -math.inf, 3e38, 1e-45)))
        at = 4 * random.randrange(len(content) // 4)
        content = content[:at] + odd + content[at + 4 :]
    elif mutation == "content":
        content = mutated_bytes(content, random)
    length = len(header)
    if mutation == "length":
        length = random.choice((0, 1, length - 1, length + 1, 2**27, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", length) + header + content


def mutated_packed(data: bytes, random: Random) -> bytes:
    """Another tree in its array of text, which is the last one; or as any file of safetensors."""
    if random.random() < 0.4:
        return mutated_safetensors(data, random)
    length = struct.unpack("<Q", data[:8])[0]
    header, content = json.loads(data[8 : 8 + length]), data[8 + length :]
    begin, end = header["json"]["data_offsets"]
    assert end == len(content)
    text = mutated_json(content[begin:], random)
    header["json"] |= {"shape": [len(text)], "data_offsets": [begin, begin + len(text)]}
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + content[:begin] + text


def mutated_gzip(data: bytes, random: Random) -> bytes:
    """What is compressed, or how."""
    mutation = random.choices(("content", "bytes", "twice", "members", "bomb"), (40, 30, 10, 10, 1))[0]
    if mutation == "bytes":
        return mutated_bytes(data, random)
    if mutation == "twice":
        return gzip.compress(data, 1)
    if mutation == "members":
        return data + random.choice((data, b"\x1f\x8b", bytes(20), b"rest"))
    content = gzip.decompress(data)
    if mutation == "bomb":  # a thousand times as large as it looks
        return gzip.compress(content + random.choice((bytes(1), b"1", b",", b"\n", b"1,")) * 2**23, 1)
    return gzip.compress(mutated_bytes(content, random), 1)


BY_SUFFIX = {
    ".jsonl": mutated_json_lines,
    ".journal": mutated_json_lines,
    ".json": mutated_json,
    ".yaml": mutated_yaml,
    "checkpoint.safetensors": mutated_packed,
    ".packed": mutated_packed,
    ".safetensors": mutated_safetensors,
    ".csv": mutated_arrays.mutated_csv,
    "-ubyte": mutated_arrays.mutated_idx,
    ".npz": mutated_arrays.mutated_npz,
    ".npy": mutated_arrays.mutated_npy,
    ".gz": mutated_gzip,
}


# ---- Kinds of files

KINDS = (
    "gone",
    "pipe",
    "link",
    "hard link",
    "link to nothing",
    "link to itself",
    "folder",
    "device",
    "link out",
)


def replace_by_another_kind(file: Path, random: Random, outside: Path) -> str:
    """Put something into the place of a file that is not a file of its own; what. `outside` is a file of
    somebody's, to which a link may lead."""
    kind = random.choice(KINDS)
    data = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind in ("link", "hard link"):
        outside.write_bytes(data)
        file.symlink_to(outside) if kind == "link" else os.link(outside, file)
    elif kind == "folder":
        file.mkdir()
    elif kind != "gone":
        target = {"device": "/dev/zero", "link to itself": file.name, "link out": "../../../../etc/passwd"}
        file.symlink_to(target.get(kind, "nothing"))
    return kind
