"""The block that the others stand around: the systolic array, with what follows from its sizes (columns, latency, how sums begin)."""

from dataclasses import dataclass, field
from math import prod

from bwnhw.absorption import absorption, first_bits
from bwnhw.compressor import popcount_latency
from bwnhw.families import FAMILIES
from bwnhw.network import CodebookShape
from bwnhw.sharing import Sharing

BAKED_DEPTH = 8  # folds up to which the weights of a carry, by the fold counter, take no more than a table of their own would


@dataclass(frozen=True)
class Step:
    """One pass over a window: which weight plane, which group of activation planes, and the accumulator's left shift before."""

    weight_plane: int
    plane_group: int
    shift: int


@dataclass(frozen=True)
class Array:
    """The systolic XNOR-popcount array with its accumulators. One window beat in per cycle, one output beat per group.

    `pe` rows; `columns` PEs per row; a row computes P = Σ_b 2**b · matches(weights[fold], plane b), b < planes, per beat, and
    acc ← (0 if first else acc << shift) + P. With one step the row's offset enters as the accumulator's first value; with several it
    is added behind the accumulator (one more cycle of latency).

    bits mode: out = (acc + offset ≥ 0) XOR flip, 1 bit. sums mode: out = ((acc << up) + offset) >> down, `out_bits` two's complement,
    where up, down are 0 or 1. `acc_bits` is the width of the sum with its offset. Accumulating beyond it wraps harmlessly.
    """

    pe: int
    groups: int
    lanes: int  # of a window beat: taps × simd
    pe_lanes: int
    planes: int
    steps: tuple[Step, ...]
    fold_depth: int
    group_beats: int
    offsets: int  # classes × groups
    mode: str  # "bits" or "sums"
    up: int
    down: int
    acc_bits: int
    out_bits: int
    flips: bool
    memory: str
    family: str = "xc7"  # whose LUTs the popcounts are shaped for
    loaded: bool = False  # weights, offsets and flips are memories that are filled at run time, not constants
    codebook: CodebookShape | None = None  # what is stored are indices into it; lanes are then kernel after kernel, a channel each
    shared: bool = False  # the codewords are counted once, at the top edge, and rows select (`bwnhw.sharing`)
    # Output channels and bits of weights that the layer has, where a folding that doesn't divide pads them to more; 0: as many as there is
    # room for. `constant`: beats at the end of a group whose weights are all the same (`network.WeightCode`). The hardware doesn't depend
    # on them, so arrays that differ in them are equal.
    channels: int = field(default=0, compare=False)
    weights: int = field(default=0, compare=False)
    constant: int = field(default=0, compare=False)

    @property
    def sharing(self) -> Sharing | None:
        """The plan of what is counted at the top edge, if anything is."""
        return Sharing(self.codebook, self.family) if self.codebook and self.shared else None

    @property
    def encode_latency(self) -> int:
        """Cycles from a beat to what travels down the first column: the lanes' prefix code, or the codewords' popcounts."""
        return self.sharing.count_latency if self.sharing else 1

    @property
    def kernel(self) -> int:
        """Lanes of one kernel where what is stored are indices of kernels, else 0."""
        return prod(self.codebook.taps) if self.codebook else 0

    @property
    def even(self) -> bool:
        """Whether the parities of kernels' matches depend on the activations alone and are counted at the top edge, once for all rows."""
        return self.codebook is not None and self.codebook.even and not self.shared

    @property
    def baked(self) -> bool:
        """Whether the fold counter chooses among codewords or their popcounts by itself, so that no index is stored."""
        if self.codebook is None:
            return False
        if self.sharing:
            return self.sharing.baked(self.fold_depth, self.memory)
        return self.memory == "lut" and self.fold_depth <= BAKED_DEPTH

    def element(self, lane: int) -> int:
        """Which element of a window beat (tap·simd + channel) a lane takes."""
        if not self.kernel:
            return lane
        return lane % self.kernel * (self.lanes // self.kernel) + lane // self.kernel

    @property
    def full_rows(self) -> int:
        """Rows that have an output channel in every group; the last group of the others is padding."""
        return self.channels - (self.groups - 1) * self.pe if self.channels else self.pe

    @property
    def fill(self) -> float:
        """The share of the weights stored for the layer's output channels that are the layer's, not padding."""
        channels = self.channels or self.groups * self.pe
        return self.weights / (channels * (self.fold_depth // self.groups) * self.lanes) if self.weights else 1.0

    @property
    def lane_columns(self) -> int:
        """Columns per activation plane."""
        return -(-self.lanes // self.pe_lanes)

    @property
    def columns(self) -> int:
        """Columns of PEs: plane-major, the lowest plane first; within a plane lanes 0..pe_lanes−1 in the first column."""
        return self.lane_columns * self.planes

    @property
    def absorbed(self) -> bool:
        """Whether the accumulators' carry chains count the last bits themselves (`bwnhw.absorption`).

        That is cheaper wherever it can be: with LUTs of six inputs, one column, sums over several beats that begin with the one constant
        that a row has, and of which only the sign leaves, since they are kept negated.
        """
        return FAMILIES[self.family].lut_inputs == 6 and self.columns == 1 and self.codebook is None and self._constant_sign

    @property
    def sign_apart(self) -> bool:
        """Whether the accumulators' two highest bits stand behind the carry chain, one cycle later, on LUTs of four inputs: there the way
        from the chain's end to the sign's register bounds the clock, and two LUTs more are little."""
        return FAMILIES[self.family].lut_inputs == 4 and self._constant_sign

    @property
    def constant_start(self) -> bool:
        """Whether a row's sums are of several beats and always begin with one constant, which is a register's reset value."""
        return self.group_beats > 1 and (len(self.steps) > 1 or self.offsets == 1 and not self.loaded)

    @property
    def _constant_sign(self) -> bool:
        """Whether rows sum several beats up from one constant each, of which only the sign leaves."""
        return self.constant_start and len(self.steps) == 1 and self.mode == "bits"

    @property
    def popcount_latency(self) -> int:
        """Register levels inside a PE's popcount (`bwnhw.compressor.popcount_latency`), or sum of popcounts: all PEs take as long as the
        slowest. Where the last counters are absorbed, those in front of them: the last one's register stands where the partial sum's
        does."""
        if self.absorbed:
            return len(absorption(first_bits(self.lanes)).levels)
        last = self.lanes - (self.lane_columns - 1) * self.pe_lanes
        if self.sharing:
            return self.sharing.sum_latency(min(self.pe_lanes, self.lanes) // self.kernel)
        return max(popcount_latency(lanes, self.family, self.kernel, self.even) for lanes in {min(self.pe_lanes, self.lanes), last})

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a group at the array's top to the output beat (all rows de-skewed)."""
        return self.encode_latency + self.popcount_latency + self.columns + self.pe + self.sum_latency

    @property
    def sum_latency(self) -> int:
        """Cycles from a row's last sum to its output: the accumulator's register, and one more behind it with several steps or where the
        sign stands apart."""
        return 1 + (len(self.steps) > 1 or self.sign_apart)
