"""The wire structs of Python and of the compiled objects are the same, field by field."""

from pathlib import Path

import pytest

from ethogram.contracts.events import STRUCTS
from profiler.libbpf import Btf

pytestmark = pytest.mark.unit

OBJECTS = Path(__file__).parents[2] / "profiler" / "_objects"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_a_struct_has_the_layout_that_the_object_says(machine: str, name: str) -> None:
    size, offsets = Btf.of_file(OBJECTS / machine / "recorder.bpf.o").struct(name)
    dtype = STRUCTS[name].dtype
    assert dtype.itemsize == size
    assert dtype.fields is not None
    assert {field: entry[1] for field, entry in dtype.fields.items()} == offsets
