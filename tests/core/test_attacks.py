"""One file per threat: each is refused in a sentence, or loads harmlessly, with little memory and no other file touched."""

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

CHILD = Path(__file__).with_name("attack_child.py")
EVIL = "__import__('os').system('touch pwned')"
FLOAT = TensorProto.FLOAT


def model(nodes: list[onnx.NodeProto] | None = None, tensors: list[TensorProto] | None = None, width: int = 2) -> onnx.ModelProto:
    """A harmless model of one Relu, or of the nodes and tensors given."""
    graph = helper.make_graph(nodes or [helper.make_node("Relu", ["x"], ["y"], name="relu")], "g",
                              [helper.make_tensor_value_info("x", FLOAT, [1, width])],
                              [helper.make_tensor_value_info("y", FLOAT, None)], tensors or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(location: str) -> TensorProto:
    tensor = TensorProto(name="c", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def eval_in_annotation() -> onnx.ModelProto:
    proto = model()
    annotation = proto.graph.quantization_annotation.add(tensor_name="x")
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=EVIL)
    return proto


def eval_in_metadata() -> onnx.ModelProto:
    proto = model()
    proto.metadata_props.add(key="exec_mode", value=EVIL)
    annotation = proto.graph.quantization_annotation.add(tensor_name="x")
    for key in ("tensor_layout", "tensor_sparsity"):
        annotation.quant_parameter_tensor_names.add(key=key, value=EVIL)
    return proto


def in_constant_node() -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["c"], value=external("../../etc/passwd")), helper.make_node("Add", ["x", "c"], ["y"])])


def in_subgraph() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [], [external("/etc/passwd")])
    return model([helper.make_node("Relu", ["x"], ["y"], name="relu", body=body)])


def in_sparse_initializer() -> onnx.ModelProto:
    proto = model()
    proto.graph.sparse_initializer.add(values=external("x"), indices=external("y"), dims=[2])
    return proto


def as_function() -> onnx.ModelProto:
    proto = model()
    proto.functions.add(name="Relu", domain="com.evil").node.append(proto.graph.node[0])
    return proto


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def nested(depth: int) -> bytes:
    """Graphs in attributes of nodes of graphs."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


def outer_sum() -> onnx.ModelProto:
    """10^12 elements from two constants of 10^6."""
    tensor = TensorProto(name="c", data_type=TensorProto.INT8, dims=[1_000_000, 1], raw_data=bytes(1_000_000))
    return model([helper.make_node("Add", ["x", "c"], ["y"], name="boom")], [tensor], 1_000_000)


def gathered() -> onnx.ModelProto:
    """One codeword of 10^6 elements, taken 10^6 times."""
    tensors = [TensorProto(name="book", data_type=FLOAT, dims=[1, 1_000_000], raw_data=bytes(4_000_000)),
               TensorProto(name="index", data_type=TensorProto.UINT8, dims=[1_000_000], raw_data=bytes(1_000_000))]
    nodes = [helper.make_node("Gather", ["book", "index"], ["w"], name="boom"), helper.make_node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, tensors, 1_000_000)


def padded() -> onnx.ModelProto:
    pads = helper.make_tensor("p", TensorProto.INT64, [4], [0, 0, 0, 2**28 - 1])
    return model([helper.make_node("Pad", ["x", "p"], ["y"], name="boom")], [pads])


def many_nodes() -> onnx.ModelProto:
    proto = model()
    proto.graph.node.extend([onnx.NodeProto(op_type="Relu")] * 100_001)
    return proto


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str | None]] = {
    "T4-eval-annotation": (eval_in_annotation, "QONNX data type"),
    "T4-eval-metadata": (eval_in_metadata, None),
    "T4-domain": (lambda: model([helper.make_node("Relu", ["x"], ["y"], domain="os.path")]), "domain 'os.path'"),
    "T5-external": (lambda: model(tensors=[external("../../../etc/passwd")]), "inside the model file"),
    "T5-external-empty": (lambda: model(tensors=[external("")]), "inside the model file"),
    "T5-external-constant": (in_constant_node, "inside the model file"),
    "T5-external-subgraph": (in_subgraph, "found GRAPH"),
    "T5-external-sparse": (in_sparse_initializer, "sparse initializers"),
    "T5-function": (as_function, "functions"),
    "T6-length": (lambda: model(tensors=[TensorProto(name="c", data_type=1, dims=[2**40, 2**40], raw_data=b"1234")]), "found 4"),
    "T6-overflow": (lambda: model(tensors=[TensorProto(name="c", data_type=1, dims=[2**62, 4], raw_data=b"")]), "found 0"),
    "T6-rank": (lambda: model(tensors=[TensorProto(name="c", data_type=1, dims=[1] * 100_000, float_data=[1])]), "8 dimensions"),
    "T6-name": (lambda: model([helper.make_node("Relu", ["x"], ["y"], name="n" * 10_000)]), "256 bytes"),
    "T6-nodes": (many_nodes, "at most 100000 operators"),
    "T7-deep": (lambda: nested(20_000), "nested at most"),
    "T7-fields": (lambda: field(7, b"\x0a\x00" * 3_000_000), "at most 2000000 protobuf fields"),
    "T7-length": (lambda: b"\x3a" + varint(2**60), "none, or a truncated one"),
    "T7-endless-varint": (lambda: b"\x08" + b"\xff" * 1000, "none, or a truncated one"),
    "T7-not-utf8": (lambda: field(7, field(1, field(3, b"\xff\xfe"))), "none, or a truncated one"),
    "T7-random": (lambda: np.random.default_rng(6).bytes(5000), "none, or a truncated one"),
    "T14-outer-sum": (outer_sum, "'boom'"),
    "T14-gather": (gathered, "'boom'"),
    "T14-pad": (padded, "'boom'"),
    "T15-nan": (lambda: model(tensors=[TensorProto(name="c", data_type=1, dims=[1], raw_data=struct.pack("<f", float("nan")))]), "NaN"),
    "T15-double-infinity": (lambda: model(tensors=[TensorProto(name="c", data_type=11, dims=[1], double_data=[float("inf")])]), "NaN"),
    "T15-half-nan": (lambda: model(tensors=[TensorProto(name="c", data_type=10, dims=[1], int32_data=[0x7E00])]), "NaN"),
    "T17-bounded-error": (lambda: model([helper.make_node("E" * 100_000, ["x"], ["y"], name="\x1b[31m\n" * 5000)]), "..."),
}


def huge_npy() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 2), }\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


def pickled(path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("pwned",))
    np.savez(path, x=np.array([Evil()], object))


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w", force_zip64=True) as member:
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1073741824, 2), }\n"
        member.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
        for _ in range(64):
            member.write(bytes(1 << 20))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str | None, str]]:
    """What the child said about every attack file; it must have survived them all and touched nothing."""
    folder = tmp_path_factory.mktemp("attacks")
    for name, (make, _) in MODELS.items():
        proto = make()
        (folder / f"{name}.onnx").write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    (folder / "T8-huge.npy").write_bytes(huge_npy())
    pickled(folder / "T8-pickle.npz")
    bomb(folder / "T8-bomb.npz")
    files = sorted(folder.iterdir())
    done = subprocess.run([sys.executable, "-I", str(CHILD), *map(str, files)], capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in folder.iterdir()} == {path.name for path in files} | {"warm.npy", "warm.npz"}
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(files)
    return {name: (kind, message) for name, kind, message in lines}


@pytest.mark.parametrize("name", MODELS)
def test_hostile_models(outcomes: dict[str, tuple[str | None, str]], name: str) -> None:
    kind, message = outcomes[f"{name}.onnx"]
    expected = MODELS[name][1]
    if expected is None:
        assert kind is None, message
    else:
        assert kind == "ModelError" and expected in message
        assert len(message) < 600 and message.isprintable()


@pytest.mark.parametrize(("name", "expected"), [
    ("T8-huge.npy", "8796093022208 bytes"), ("T8-pickle.npz", "plain numbers"), ("T8-bomb.npz", "at most 100 times")])
def test_hostile_images(outcomes: dict[str, tuple[str | None, str]], name: str, expected: str) -> None:
    kind, message = outcomes[name]
    assert kind == "ImageError" and expected in message


def test_a_file_beyond_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bwnhw import onnx_limits
    from bwnhw.errors import ModelError
    path = tmp_path / "large.onnx"
    path.write_bytes(model().SerializeToString())
    monkeypatch.setattr(onnx_limits, "MAX_FILE", 10)
    with pytest.raises(ModelError, match="at most 10 bytes"):
        onnx_limits.read_file(path)
    with pytest.raises(ModelError, match="at most 10 bytes"):
        onnx_limits.check_wire(path.read_bytes(), "large")


@pytest.mark.parametrize("act", ["open('pwned', 'w')", "__import__('subprocess').run(['true'])", "__import__('socket').socket()"])
def test_the_watch_notices(act: str, tmp_path: Path) -> None:
    """The audit hook can fail: the same child with a reader that misbehaves ends with status 70."""
    (tmp_path / "a.onnx").write_bytes(model().SerializeToString())
    script = CHILD.read_text().replace("            simplify(load(path))", f"            {act}")
    assert act in script
    (tmp_path / "child.py").write_text(script)
    done = subprocess.run([sys.executable, "-I", str(tmp_path / "child.py"), str(tmp_path / "a.onnx")], capture_output=True, text=True,
                          timeout=100, cwd=tmp_path)
    assert done.returncode == 70 and "forbidden" in done.stderr, done.stderr[-2000:]
    assert not (tmp_path / "pwned").exists()
