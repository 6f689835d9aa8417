"""Training in torch: layers with binary weights, architectures, recipes, export to QONNX; `zoo/` holds trained networks.

Importing this package imports no torch, so that the zoo is usable without it; the modules below it do.
"""

if __name__ != "bwnhw.models":
    raise ImportError(f"import bwnhw.models, not {__name__}")
