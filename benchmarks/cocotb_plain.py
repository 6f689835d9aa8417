"""What `simulation_speed.py` measures the batch runner against: cocotb's own runner with its defaults, and a plain test.

As a program it builds the design, or runs the test on some images: `python cocotb_plain.py JOB`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


@cocotb.test()
async def stream(dut: Any) -> None:
    """Send every beat, take every output, compare."""
    images = int(cocotb.plusargs["images"])
    with np.load(str(cocotb.plusargs["case"])) as data:
        send, expect = data["send"][:images], data["expect"][:images]
    Clock(dut.aclk, 2, unit="step").start()
    dut.aresetn.value = 0
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 1
    for _ in range(4):
        await RisingEdge(dut.aclk)
    dut.aresetn.value = 1
    beats = [int.from_bytes(row.tobytes(), "little") for row in send.reshape(-1, send.shape[2])]
    wanted = [int.from_bytes(row.tobytes(), "little") for row in expect.reshape(-1, expect.shape[2])]
    cocotb.start_soon(drive(dut, beats, send.shape[1]))
    found: list[int] = []
    while len(found) < len(wanted):
        await RisingEdge(dut.aclk)
        if dut.m_axis_tvalid.value:
            found.append(int(dut.m_axis_tdata.value))
    assert found == wanted


async def drive(dut: Any, beats: list[int], per_image: int) -> None:
    """A beat per cycle where the design takes it."""
    dut.s_axis_tvalid.value = 1
    for number, beat in enumerate(beats, 1):
        dut.s_axis_tdata.value = beat
        dut.s_axis_tlast.value = number % per_image == 0
        await RisingEdge(dut.aclk)
        while not dut.s_axis_tready.value:
            await RisingEdge(dut.aclk)
    dut.s_axis_tvalid.value = 0


def run(verilog: str, top: str, folder: str, images: int) -> None:
    """Build where `images` is 0, else test."""
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    build = Path(folder) / "cocotb"
    if images == 0:
        runner.build(sources=[verilog], hdl_toplevel=top, build_dir=build, build_args=["-Wno-fatal"])
    else:
        runner.test(test_module="cocotb_plain", hdl_toplevel=top, hdl_toplevel_lang="verilog", build_dir=build, test_dir=folder,
                    extra_env={"PYTHONPATH": str(Path(__file__).parent)},
                    plusargs=[f"+case={folder}/case.npz", f"+images={images}"])


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
