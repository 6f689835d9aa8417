"""For the tests of the models room."""

import pytest


@pytest.fixture
def oracle(monkeypatch):
    """Execute a QONNX file with qonnx, which is not ours: (path, image as the graph's input) to scores."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("qonnx")
    import numpy as np
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    # qonnx runs each node as a model of its own, stamped with onnx's newest IR version, which onnxruntime may not read yet.
    monkeypatch.setattr(onnx, "IR_VERSION", 10)

    def execute(path, images):
        model = ModelWrapper(str(path)).transform(InferShapes())
        name, out = model.graph.input[0].name, model.graph.output[0].name
        return np.concatenate([execute_onnx(model, {name: image[None].astype(np.float32)})[out] for image in images])

    return execute
