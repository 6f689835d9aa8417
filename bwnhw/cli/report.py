"""Results as the tables and the JSON of the commands: estimated, measured and synthesised numbers under the same names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bwnhw import Estimate, Plan
from bwnhw.cli import console
from bwnhw.design import design
from bwnhw.devices import Device, uses
from bwnhw.errors import MismatchError
from bwnhw.families import FAMILIES
from bwnhw.network import Topology
from bwnhw.plan import Engine

if TYPE_CHECKING:
    from bwnhw.cycles import Cycles
    from bwnhw.rtl.place import Placed
    from bwnhw.rtl.synth import Synthesised
    from bwnhw.sim.verify import SimResult


RESOURCES = (("LUT", "luts"), ("FF", "ffs"), ("BRAM", "brams"))


def estimated(estimate: Estimate) -> None:
    """One row per layer and one for the whole; where layers have codebooks, what they would take without."""
    rows: list[tuple[Any, ...]] = [
        (layer.name, layer.pe, layer.simd, layer.fold or None, layer.first, layer.latency, layer.interval, layer.luts, layer.ffs,
         layer.brams, layer.weight_bits) for layer in estimate.layers]
    whole = ("whole", None, None, None, estimate.layers[-1].first, estimate.latency, estimate.interval, estimate.luts, estimate.ffs,
             estimate.brams, estimate.weight_bits)
    kbits = FAMILIES[estimate.family].block_kbits
    columns: tuple[str, ...] = ("layer", "PE", "SIMD", "fold", "first", "latency", "interval", "LUT", "FF", "BRAM", "weight bits")
    rows.append(whole)
    if any(layer.uncoded for layer in estimate.layers):
        columns += "codebook", "LUT without", "BRAM without", "bits without"
        more = [(layer.engine.codebook, layer.uncoded.luts, layer.uncoded.brams, layer.uncoded.weight_bits)
                if layer.engine and layer.uncoded else (None,) * 4 for layer in estimate.layers]
        rows = [row + extra for row, extra in zip(rows, [*more, (None,) * 4], strict=True)]
    console.table(f"Estimated for {estimate.family} (cycles are exact; LUT, FF and {kbits}-kbit block RAM are estimates)",
                  columns, rows)
    console.line(f"{estimate.images_per_second:,.0f} images/s at {estimate.clock_mhz:g} MHz")
    if estimate.fastest:
        fastest = estimate.fastest
        console.line(f"{fastest.fmax_mhz:g} MHz at most (estimated), limited by the {fastest.block} of {fastest.stage}")


def foldings(topology: Topology, plan: Plan) -> None:
    """What the plan gives every conv and dense layer."""
    parts = {index: ("×".join(map(str, topology.nodes[index].out.shape)), engine) for index, engine in plan.engines}
    fifos, buffers = dict(plan.fifos), dict(plan.buffers)
    behind = {nodes[0]: nodes[-1] for nodes in (stage.nodes for stage in design(topology, plan).stages)}
    console.table("Foldings", ("node", "output", "PE", "channels", "taps", "planes", "weights in", "FIFO", "buffer"),
                  [(index, shape, engine.pe, engine.simd, engine.taps, engine.planes, _kept(engine),
                    fifos.get(behind[index]), buffers.get(index)) for index, (shape, engine) in parts.items()])


def _kept(engine: Engine) -> str:
    """What an engine's weights are kept in."""
    return "adders" if engine.engine == "unrolled" else {"lut": "LUT", "block": "block RAM"}[engine.memory]


def fit(device: Device | None, found: Estimate) -> None:
    """What the design takes of a device, and whether it fits."""
    if device is None:
        return
    used = uses(device, found)
    console.table(f"On {device.name} (estimated)", ("", "used", "available", "share", "fits"),
                  [(use.resource, use.used, use.available, f"{use.used / use.available:.1%}", use.fits) for use in used])


def fit_json(device: Device | None, found: Estimate) -> dict[str, Any]:
    """The same as JSON; nothing without a device."""
    if device is None:
        return {}
    return {"device": {"name": device.name, "kind": "estimated", "fits": all(use.fits for use in uses(device, found)),
                       "uses": [{**asdict(use), "fits": use.fits} for use in uses(device, found)]}}


def traced(found: "Cycles") -> None:
    """First and last output of every layer for the first and the last image under a trace."""
    last = len(found.last) - 1
    columns = ("layer", "first", "last", f"first of image {last}", f"last of image {last}", "interval")
    console.table("Output cycles under the trace (estimated, exact)", columns,
                  [(stage.name, stage.first[0], stage.last[0], stage.first[-1], stage.last[-1], stage.interval) for stage in found.stages])


def traced_json(found: "Cycles") -> dict[str, Any]:
    """The same as JSON, for every image."""
    return {"trace": {"kind": "estimated", "latency_cycles": found.latency, "interval_cycles": found.interval,
                      "layers": [{"name": stage.name, "first": list(stage.first), "last": list(stage.last)} for stage in found.stages]}}


def cycles(estimate: Estimate, found: "SimResult") -> None:
    """Cycles of every layer that was looked at and of the whole, estimated and measured."""
    stages = {stage.name: stage for stage in found.stages}
    rows = [(layer.name, layer.latency, stages[layer.name].latency, layer.interval, stages[layer.name].interval)
            for layer in estimate.layers if layer.name in stages]
    console.table("Cycles, estimated and simulated", ("layer", "latency", "simulated", "interval", "simulated"),
                  [*rows, ("whole", estimate.latency, found.latency, estimate.interval, found.interval)])


def usage(found: "SimResult", lanes: Mapping[str, float]) -> None:
    """What every array did in the batch runner; `lanes`: the share of useful lanes in its busy cycles, by stage."""
    rows = [(array.name, array.busy, array.starved, array.blocked, array.fill, f"{array.utilisation:.2%}", f"{lanes[array.name]:.1%}")
            for array in found.usage]
    console.table("Cycles of the arrays in simulation (utilisation: share of busy ones from the first beat to the last)",
                  ("layer", "busy", "starved", "blocked", "fill", "utilisation", "valid lanes"), rows)


def synthesised(estimate: Estimate, found: "Synthesised") -> None:
    """What synthesis counted beside the estimate."""
    pairs = [(name, getattr(estimate, field), getattr(found, field)) for name, field in RESOURCES]
    console.table(f"Resources on {found.family} ({found.tool})", ("", "estimated", "synthesised", "estimate / synthesised"),
                  [(name, guess, count, guess / count if count else None) for name, guess, count in pairs])


def synthesised_layers(names: Sequence[str], estimate: Estimate, found: "Sequence[Synthesised]") -> None:
    """What synthesis counted in every layer by itself, beside the estimate."""
    console.table("Layers, each synthesised by itself", ("layer", "LUT", "synthesised", "FF", "synthesised", "BRAM", "synthesised"),
                  [(name, *(value for _, field in RESOURCES for value in (getattr(guess, field), getattr(count, field))))
                   for name, guess, count in zip(names, estimate.layers, found, strict=True)])


def placed(device: Device, found: "Placed") -> None:
    """What the placed design takes of the device, and its clock."""
    console.table(f"Placed and routed on {device.name} ({found.tool})", ("", "placed", "available"),
                  [("LUT", found.luts, device.luts), ("FF", found.ffs, device.ffs), ("block RAM", found.brams, device.brams)])
    console.line(f"{found.fmax_mhz:g} MHz (placed)")


def with_placement(result: Mapping[str, Any], found: "Placed") -> dict[str, Any]:
    """A result with what nextpnr found."""
    counts = {"luts": found.luts, "ffs": found.ffs, "brams": found.brams}
    return {**result, **{name: {**result[name], "placed": count, "device": found.device} for name, count in counts.items()},
            "fmax_mhz": {**result["fmax_mhz"], "placed": found.fmax_mhz, "device": found.device}}


def with_simulation(result: Mapping[str, Any], found: "SimResult", accuracy: float | None, lanes: Mapping[str, float]) -> dict[str, Any]:
    """A result with the images that were simulated and the cycles measured, per layer where the layers were looked at.

    A layer with an array tells what it did: `busy`, `starved`, `blocked` and `fill` cycles, `utilisation` and `valid_lanes` as shares.
    """
    stages = {stage.name: stage for stage in found.stages}
    arrays = {array.name: {**asdict(array), "utilisation": array.utilisation, "valid_lanes": lanes[array.name]} for array in found.usage}
    layers = [{**_measured(layer, stages.get(layer["name"])), **({"array": arrays[layer["name"]]} if layer["name"] in arrays else {})}
              for layer in result["layers"]]
    return {**_measured(result, found), "layers": layers,
            "accuracy": accuracy, "images": found.images, "images_cocotb": found.bench_images, "mismatches": found.mismatches,
            "failure": found.failure, "tests": list(found.tests)}


def with_synthesis(result: Mapping[str, Any], found: "Synthesised") -> dict[str, Any]:
    """A result with what synthesis counted; it flattens the design, so there is nothing per layer."""
    counts = {"luts": found.luts, "ffs": found.ffs, "brams": found.brams}
    return {**result, **{name: {**result[name], "synthesised": count} for name, count in counts.items()}}


def judge(found: "SimResult", expected: tuple[int, int | None]) -> None:
    """Raise MismatchError where the simulation failed, or its latency and interval aren't the `expected` ones."""
    if not found.passed:
        raise MismatchError(found.failure or f"{found.mismatches} of {found.images} images differ from the golden model")
    for what, wanted, measured in zip(("latency", "interval"), expected, (found.latency, found.interval), strict=True):
        if wanted is not None and wanted != measured:
            raise MismatchError(f"{what}: expected {wanted} cycles, simulation took {measured}")


def images(found: "SimResult", accuracy: float | None) -> None:
    """What was compared and came out, in a line."""
    console.line(f"{found.images} images through the batch runner, {found.bench_images} through cocotb in {len(found.tests)} tests: "
                 f"{found.mismatches} mismatches" + ("" if accuracy is None else f", {accuracy:.2%} of the labels right"))


def _measured(result: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """`result` with latency and interval of `found`, where there is something."""
    if found is None:
        return dict(result)
    return {**result, "latency_cycles": {**result["latency_cycles"], "measured": found.latency},
            "interval_cycles": {**result["interval_cycles"], "measured": found.interval}}
