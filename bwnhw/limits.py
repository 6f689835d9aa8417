"""How large a model may be."""

MAX_FILE = 256 << 20
"""Bytes of a model file."""
MAX_FIELDS = 2_000_000
"""Protobuf fields of a model file, at every depth; a packed array is one."""
MAX_DEPTH = 24
"""Nesting of protobuf messages; a model without subgraphs needs 6."""
MAX_NODES = 100_000
"""Operators, and as many constants."""
MAX_RANK = 8
"""Dimensions of a tensor."""
MAX_NAME = 256
"""Bytes of any name."""
MAX_ELEMENTS = 1 << 28
"""Elements of any tensor of one image while it is executed or its shape is inferred."""
