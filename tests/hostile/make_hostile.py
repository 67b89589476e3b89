"""Make files that an artifact's reader must refuse, and say what each must be refused for.

    python tests/hostile/make_hostile.py

Each file is `tests/golden/tiny.tflite` with one thing wrong, so that it is refused for that thing and no other. The
checksum is right wherever it is not the point: whoever can write a file can write its checksum.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden"))

import drawing
import flatbuffers
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = drawing.tiny()
SPEC = drawing.spec_for(TINY)
MEMBERS = {"framestep.json": SPEC.to_json().encode(), "labels.txt": b"still\nleft\nright\n"}
GOOD = drawing.artifact(TINY)
END = len(GOOD) - 22
DIRECTORY = struct.unpack_from("<I", GOOD, END + 16)[0]
FIRST, SECOND = DIRECTORY, DIRECTORY + 46 + len("framestep.json")


def patched(at: int, form: str, *values: Any) -> bytes:
    """Give the good file with numbers written over it."""
    data = bytearray(GOOD)
    struct.pack_into(form, data, at, *values)
    return bytes(data)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """Give the good network with another zip."""
    file = io.BytesIO(TINY)
    with zipfile.ZipFile(file, "a", method) as archive:
        archive.comment = comment
        for name, data in members:
            # Not by writestr, which warns of a name that is there already.
            archive.NameToInfo.clear()
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def with_spec(text: str | bytes) -> bytes:
    """Give the good network with another spec."""
    data = text.encode() if isinstance(text, str) else text
    return drawing.artifact(TINY, members={**MEMBERS, "framestep.json": data})


def said(**changes: Any) -> bytes:
    """Give the good network with some of the spec's members set."""
    return with_spec(json.dumps({**json.loads(SPEC.to_json()), **changes}))


def zips() -> Iterator[tuple[str, bytes, str]]:
    """Wrong trailers."""
    items = list(MEMBERS.items())
    spec, labels = items
    yield "no-trailer", TINY, "the file has no framestep spec at its end"
    yield "empty", b"", "no TensorFlow Lite file"
    yield "cut-in-the-network", GOOD[: len(TINY) // 2], "the file has no framestep spec at its end"
    yield "cut-in-the-zip", GOOD[:-30], "the file has no framestep spec at its end"
    yield "one-byte-short", GOOD[:-1], "the file has no framestep spec at its end"
    yield "one-byte-more", GOOD + b"\0", "the file has no framestep spec at its end"
    yield "comment", zipped(items, comment=b"hello"), "the file has no framestep spec at its end"
    yield "comment-announced", patched(END + 20, "<H", 5), "it has a comment"
    yield "member-missing", zipped([spec]), "it has 1 members and not 2"
    yield "member-more", zipped([*items, ("run.sh", b"rm -rf /\n")]), "it has 3 members and not 2"
    yield "member-twice", zipped([spec, spec]), "a member is named b'framestep.json' where labels.txt must stand"
    yield "members-exchanged", zipped([labels, spec]), "where framestep.json must stand"
    yield "path-upwards", zipped([spec, ("../evil.txt", b"x")]), "a member is named b'../evil.txt'"
    yield "deflated", zipped(items, zipfile.ZIP_DEFLATED), "framestep.json is not plainly stored"
    yield "encrypted", patched(FIRST + 8, "<H", 1), "framestep.json is not plainly stored"
    yield "disks", patched(END + 4, "<H", 1), "it spans disks"
    yield "zip64", patched(END + 8, "<2H2I", 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), "it has 65535 members and not 2"
    yield "directory-elsewhere", patched(END + 16, "<I", DIRECTORY - 1), "its directory does not end where"
    yield "directory-damaged", patched(FIRST, "<4s", b"PK\5\5"), "its directory is damaged"
    yield "names-differ", GOOD.replace(b"labels.txt", b"lapels.txt", 1), "the two names of labels.txt differ"
    yield "headers-differ", patched(FIRST + 12, "<H", 7), "the two headers of framestep.json differ"
    yield "checksum-wrong", GOOD.replace(b'"fps": 10.0', b'"fps": 30.0'), "does not match its checksum"
    yield "size-huge", patched(FIRST + 20, "<2I", 0xFFFFFFF0, 0xFFFFFFF0), "has 4294967280 bytes"
    yield "size-differs", patched(FIRST + 20, "<I", 5), "stored in 5"
    yield "member-outside", patched(FIRST + 42, "<I", 0xFFFFFFF0), "framestep.json lies outside the file"
    yield "member-in-the-network", patched(FIRST + 42, "<I", 16), "the two headers of framestep.json differ"
    yield "gap", gap(), "there are bytes between its parts"


def gap() -> bytes:
    """Give a file with a hole between the members and the directory, all offsets right."""
    hole = b"\0" * 8
    data = bytearray(GOOD[:DIRECTORY] + hole + GOOD[DIRECTORY:])
    struct.pack_into("<I", data, END + len(hole) + 16, DIRECTORY + len(hole))
    return bytes(data)


def specs() -> Iterator[tuple[str, bytes, str]]:
    """Wrong specs, and specs of another network."""
    text = SPEC.to_json()
    states = [json.loads(text)["states"][0], {**json.loads(text)["states"][1], "name": "total"}]
    yield "spec-no-json", with_spec("fps = 10"), "The spec is not JSON"
    yield "spec-no-utf8", with_spec(text.encode("utf-16")), "The spec is not JSON"
    yield "spec-nan", with_spec(text.replace('"fps": 10.0', '"fps": NaN')), "NaN is not a JSON number"
    yield "spec-infinite", with_spec(text.replace('"fps": 10.0', '"fps": 1e999')), "spec.fps is too large a number"
    yield "spec-key-twice", with_spec(text.replace('"fps"', '"fps": 5.0, "fps"')), "an object has a key twice"
    yield "spec-deep", with_spec("[" * 100_000), "The spec is not JSON"
    yield "spec-list", with_spec("[]"), "spec is a list with 0 entries; it must be an object"
    yield "spec-format", said(format=2), "The spec has format 2; this framestep reads 1"
    yield "spec-incomplete", with_spec(text.replace('"fps"', '"rate"')), "spec lacks fps"
    yield "spec-number", with_spec(text.replace("10.0", "1" * 5000)), "The spec is not JSON"
    yield "spec-initial-huge", said(states=[{**states[0], "initial": 10**300}, states[1]]), "which is no float32"
    yield "spec-initial-shape", said(states=[{**states[0], "initial": [0.0]}, states[1]]), "does not have the shape"
    yield "spec-surrogate", with_spec(text.replace("tiny", "\\ud800")), "which is not text"
    yield "spec-escape-codes", with_spec(text.replace("still", "\\u001b[2J")), "a label is printable text"
    yield (
        "labels-differ",
        drawing.artifact(TINY, members={**MEMBERS, "labels.txt": b"left\nstill\nright\n"}),
        "labels.txt",
    )
    two = replace(SPEC, labels=("still", "left"))
    yield (
        "labels-two-of-three",
        drawing.artifact(TINY, two),
        "the network gives 3 probabilities and the spec has 2 labels",
    )
    yield "sha256", drawing.artifact(TINY, replace(SPEC, sha256="0" * 64)), "and its spec says 0000"
    yield "state-missing", drawing.artifact(TINY, replace(SPEC, states=SPEC.states[:1])), "the network's inputs"
    wider = (SPEC.states[0], replace(SPEC.states[1], shape=(1, 7)))
    yield "state-shape", drawing.artifact(TINY, replace(SPEC, states=wider)), "the shape of input 'total'"
    coarse = (SPEC.states[0], replace(SPEC.states[1], dtype="int8", scale=1.0, zero_point=0))
    yield "state-dtype", drawing.artifact(TINY, replace(SPEC, states=coarse)), "the dtype of input 'total'"
    taller = replace(SPEC, input=replace(SPEC.input, height=4))
    yield "frame-shape", drawing.artifact(TINY, taller), "the shape of input 'frame'"


def networks() -> Iterator[tuple[str, bytes, str]]:
    """Networks that are damaged, or are more than a step."""
    for name, kind, custom in (
        ("op-while", "WHILE", None), ("op-variable", "VAR_HANDLE", None), ("op-call-once", "CALL_ONCE", None),
        ("op-fused-lstm", "UNIDIRECTIONAL_SEQUENCE_LSTM", None), ("op-flex", "CUSTOM", "FlexAddV2"),
    ):  # fmt: skip
        yield name, _changed(lambda d, i, _, k=kind, c=custom: d.op(k, [i["total"]], [], c)), custom or kind
    yield "op-unknown", _changed(lambda d, *_: _set(d.model.operatorCodes[0], builtinCode=9999)), "BUILTIN_9999"
    yield "variable-tensor", _changed(lambda d, *_: _set(d.graph.tensors[2], isVariable=True)), "1 variable tensors"
    yield (
        "sparse-tensor",
        _changed(lambda d, *_: _set(d.graph.tensors[3], sparsity=schema.SparsityParametersT())),
        "1 sparse",
    )
    yield (
        "data-outside",
        _changed(lambda d, *_: _set(d.model.buffers[1], offset=64, size=8)),
        "data outside its FlatBuffer",
    )
    yield "sizes-computed", _changed(drawing.unsized), "1 operators whose sizes are only known while it runs"
    yield "subgraphs", _changed(lambda d, *_: d.model.subgraphs.append(schema.SubGraphT())), "2 subgraphs"
    yield "signature-other", drawing.artifact(drawing.tiny(signature="serve")), "none named 'step'"
    yield "signature-output-more", _changed(lambda _, i, o: o.update(loss=i["total"])), "the network's outputs"
    yield "inputs-shared", _changed(lambda _, i, __: i.update(total=i["previous"])), "its signature's inputs"
    yield "input-unset", drawing.artifact(_unset_input()), "its signature's inputs"
    yield "tensor-outside", _changed(lambda d, *_: d.graph.operators[0].inputs.append(99)), "are used of 14"
    yield "tensor-huge", _changed(lambda d, *_: _set(d.graph.tensors[5], shape=[1, 1 << 30])), "a tensor has the shape"
    yield "tensor-negative", _changed(lambda d, *_: _set(d.graph.tensors[5], shape=[1, -6])), "a tensor has the shape"
    yield "buffer-outside", _changed(lambda d, *_: _set(d.graph.tensors[5], buffer=77)), "a tensor is of buffer 77"
    yield (
        "code-outside",
        _changed(lambda d, *_: _set(d.graph.operators[0], opcodeIndex=50)),
        "an operator is of code 50",
    )
    yield "options-missing", _changed(_no_options), "an operator ADD lacks its options"
    yield "tensor-of-resources", _changed(lambda d, *_: _set(d.graph.tensors[5], type=13)), "tensors of resource"
    yield "tensor-of-no-type", _changed(lambda d, *_: _set(d.graph.tensors[5], type=99)), "a tensor has type 99"
    for name, scales, points, reason in (
        ("scale-missing", [], [], "a tensor of int8 has 0 zero points and no scale"),
        ("scale-nan", [float("nan")], [0], "a tensor has scales from nan to nan"),
        ("scales-too-many", [1.0] * 5, [0] * 5, "a tensor [1, 6] has 5 scales and 5 zero points along axis 0"),
        ("zero-points-too-few", [1.0], [], "has 1 scales and 0 zero points"),
        ("zero-point-outside", [1.0], [1 << 40], "a tensor of int8 has zero points from 1099511627776"),
    ):
        yield name, _changed(lambda d, *_, s=scales, p=points: _quantise(d, s, p)), reason
    yield "identifier", drawing.artifact(TINY[:4] + b"TFL9" + TINY[8:]), "identifier is b'TFL9'"
    yield "root-outside", drawing.artifact(b"\xff\xff\xff\x7f" + TINY[4:]), "the network is damaged: byte 2147483647"
    root = struct.unpack_from("<I", TINY)[0]
    yield "slots-outside", drawing.artifact(_over(TINY, root, "<i", -(1 << 30))), "the network is damaged"
    slots = root - struct.unpack_from("<i", TINY, root)[0]
    field = struct.unpack_from("<H", TINY, slots + 6)[0]  # operator codes, the second slot
    vector = root + field + struct.unpack_from("<I", TINY, root + field)[0]
    yield "vector-endless", drawing.artifact(_over(TINY, vector, "<I", 0xFFFFFFFF)), "a vector of 4294967295 entries"
    yield "field-outside", drawing.artifact(_over(TINY, slots + 6, "<H", 60_000)), "lies outside it"


def _changed(change: Any) -> bytes:
    return drawing.artifact(drawing.tiny(change))


def _set(thing: Any, **members: Any) -> None:
    for name, value in members.items():
        assert hasattr(thing, name), name
        setattr(thing, name, value)


def _quantise(draft: Any, scales: list[float], points: list[int]) -> None:
    parameters = schema.QuantizationParametersT()
    _set(parameters, scale=scales, zeroPoint=points)
    _set(draft.graph.tensors[5], type=schema.TensorType.INT8, quantization=parameters)


def _no_options(draft: Any, *_: Any) -> None:
    _set(draft.graph.operators[4], builtinOptionsType=0, builtinOptions=None)


def _unset_input() -> bytes:
    # The graph takes one input more than its signature names.
    draft = drawing.Drawing()
    whole: list[Any] = []
    drawing.tiny(lambda d, i, o: whole.extend((d, i, o)))
    draft, inputs, outputs = whole
    extra = draft.tensor("extra", (1, 6))
    content = draft.content({**inputs, "extra": extra}, outputs)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    signature = model.signatureDefs[0]
    signature.inputs = [each for each in signature.inputs if each.name != b"extra"]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _over(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def main() -> None:
    """Write the files and what they must be refused for."""
    assert zlib.crc32(MEMBERS["labels.txt"])
    for old in HERE.glob("*.tflite"):
        old.unlink()
    expected = {}
    for name, data, reason in (*zips(), *specs(), *networks()):
        assert name not in expected, name
        (HERE / f"{name}.tflite").write_bytes(data)
        expected[name] = reason
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(len(expected), "files")


if __name__ == "__main__":
    main()
