"""The planner: from what is wanted (a rate, a budget, little latency) to the folding and memory of every layer.

Everything is optimal over the planner's own model, and over the candidates of `bwnhw.foldings`. The model: LUTs and block RAMs by the
estimate, resizers and shell included, with the depths that `bwnhw.design` gives FIFOs by itself; the interval of a plan is the pace of its
slowest stage; its latency that interval and, for every stage, the cycles from its last input to its last output. The plan handed out then
gets the least depths with which the exact cycle model says the same interval.
"""

from dataclasses import dataclass

from bwnhw.depths import least_depths
from bwnhw.errors import PlanError
from bwnhw.foldings import widest
from bwnhw.frontier import NO_LIMIT, Chain, Choice, Measures
from bwnhw.network import Conv, Network, Topology, topology_of
from bwnhw.plan import Engine, Plan
from bwnhw.resources import checked

PORT_BITS = 64  # the input port takes as many channels at once as fit into this
LUTS_PER_LANE = 3  # of whole networks about: the pace at which the search for the least begins
BRAM_LUTS = 200  # what an 18-kbit block RAM counts where none are limited: LUTs per block RAM of a mid-size device (Zynq-7020)
DEFAULT_LUTS = 37_000  # without any wish: the fastest plan within 70 % of a Zynq-7020's LUTs
STEP = 1.3  # from one pace tried to the next, until one fits


@dataclass(frozen=True)
class Budget:
    """What a plan may take at most: LUTs (iCE40: logic cells) and block RAMs of a family; None is as many as it likes."""

    luts: int | None = None
    brams: int | None = None
    family: str = "xc7"

    def __str__(self) -> str:
        parts = [f"{limit} {name}" for limit, name in ((self.luts, "LUTs"), (self.brams, "block RAMs")) if limit is not None]
        return " and ".join(parts) or "no limit"


@dataclass(frozen=True)
class Given:
    """What the user has settled: elements per input beat (None: as many channels as divide evenly and fit into `PORT_BITS`), the clock, and
    the engines of some nodes."""

    input_lanes: int | None = None
    clock_mhz: float = 200.0
    fixed: tuple[tuple[int, Engine], ...] = ()

    def chain(self, network: Network | Topology, family: str) -> Chain:
        """The segments to plan."""
        empty = Plan((), self.input_lanes or port_lanes(topology_of(network)), clock_mhz=self.clock_mhz, family=checked(family))
        return Chain(network, empty, dict(self.fixed))


def plan(network: Network | Topology, *, interval: int | None = None, clock_mhz: float = 200.0, input_lanes: int | None = None,
         fixed: tuple[tuple[int, Engine], ...] = (), family: str = "xc7") -> Plan:
    """`cheapest` for an interval; without one `fastest` within `DEFAULT_LUTS`, or the smallest plan where none fits."""
    given = Given(input_lanes, clock_mhz, fixed)
    if interval is not None:
        return cheapest(network, interval, Budget(family=family), given)
    try:
        return fastest(network, Budget(DEFAULT_LUTS, family=family), given)
    except PlanError:
        chain = given.chain(network, family)
        return least_depths(chain.topology, chain.plan(_least(chain, chain.slowest, Budget())[0]))


def cheapest(network: Network | Topology, interval: int, budget: Budget = Budget(), given: Given = Given()) -> Plan:
    """The plan with the least LUTs whose interval is at most `interval` cycles, within the budget.

    Where block RAMs aren't limited each counts as `BRAM_LUTS`. Raises PlanError where the interval can't be reached, naming the limiting
    layer and the nearest that can, or where no plan that reaches it fits.
    """
    chain = given.chain(network, budget.family)
    nearest, limiting = max(chain.limits())
    if interval < nearest:
        raise PlanError(f"plan: {limiting} can't keep an interval of {interval} cycles; the nearest that can be reached is {nearest}")
    found = _least(chain, interval, budget)
    if not found:
        raise PlanError(f"plan: no plan that keeps an interval of {interval} cycles fits into {budget}")
    return least_depths(chain.topology, chain.plan(found[0]))


def fastest(network: Network | Topology, budget: Budget, given: Given = Given()) -> Plan:
    """The plan with the least interval within the budget; of several, as `cheapest`. Raises PlanError where nothing fits."""
    chain = given.chain(network, budget.family)
    pace, below = _least_pace(chain, budget)
    return least_depths(chain.topology, chain.plan(_least(chain, pace, budget, below)[0]))


def quickest(network: Network | Topology, budget: Budget, given: Given = Given()) -> Plan:
    """The plan with the least latency within the budget, by the model. Raises PlanError where nothing fits."""
    chain = given.chain(network, budget.family)
    pace, below = _least_pace(chain, budget)
    return least_depths(chain.topology, chain.plan(_least_latency(chain, pace, below, budget)))


def parallel(topology: Topology, *, clock_mhz: float = 200.0, input_lanes: int | None = None) -> Plan:
    """The plan with every conv fully parallel: one output pixel per cycle (and weight plane)."""
    chosen = tuple((index, widest(node, topology.nodes[index - 1].out))
                   for index, node in enumerate(topology.nodes) if isinstance(node, Conv))
    return Plan(chosen, input_lanes or port_lanes(topology), clock_mhz=clock_mhz)


def port_lanes(topology: Topology) -> int:
    """The most channels that divide the input's evenly and fit into `PORT_BITS`; at least one."""
    source = topology.nodes[0].out
    return max(n for n in range(1, source.channels + 1) if source.channels % n == 0 and (n == 1 or n * source.bits <= PORT_BITS))


def _least(chain: Chain, pace: int, budget: Budget, below: int | None = None) -> list[Choice]:
    """Plans that keep a pace within a budget, the one to take first; empty where none does."""
    luts, brams, price = (1, 0, 0), (0, 1, 0), (1, BRAM_LUTS, 0)
    if budget.brams is not None:
        return chain.front(pace, Measures((luts, brams), (_limit(budget.luts), budget.brams)), below)
    if budget.luts is None:
        return chain.front(pace, Measures((price,), (NO_LIMIT,)), below)
    return chain.front(pace, Measures((price, luts), (NO_LIMIT, budget.luts)), below)


def _least_pace(chain: Chain, budget: Budget) -> tuple[int, int]:
    """The least pace at which a plan fits, and one below it at which none does.

    The set of plans only changes at the paces of segments and grows with each: by bisection among those between two that `_bracket` finds.
    """
    below, pace = _bracket(chain, budget)
    paces = chain.paces(below, pace)
    low, high = 0, len(paces) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _least(chain, paces[middle], budget, below) else (middle + 1, high)
    return paces[high], below


def _bracket(chain: Chain, budget: Budget) -> tuple[int, int]:
    """A pace at which no plan fits, and a greater one at which one does: in steps of `STEP` from a guess, up or down."""
    least, slowest = max(chain.limits())[0], chain.slowest
    guess = least if budget.luts is None else LUTS_PER_LANE * chain.work // max(1, budget.luts)
    pace = min(slowest, max(least, guess))
    if _least(chain, pace, budget):
        while pace > least:
            below = max(least, int(pace / STEP))
            if not _least(chain, below, budget):
                return below, pace
            pace = below
        return least - 1, least
    while pace < slowest:
        below, pace = pace, min(slowest, int(pace * STEP) + 1)
        if _least(chain, pace, budget):
            return below, pace
    raise PlanError(f"plan: even the smallest plan doesn't fit into {budget}")


def _least_latency(chain: Chain, pace: int, below: int, budget: Budget) -> Choice:
    """The plan with the least pace + lag, by branch and bound over the pace: with more cycles per image the lag only shrinks."""
    rows = ((0, 0, 1), (1, 0, 0), (0, 1, 0)) if budget.brams is not None else ((0, 0, 1), (1, 0, 0))
    limits = (NO_LIMIT, _limit(budget.luts), _limit(budget.brams))[:len(rows)]

    def at(number: int) -> Choice:
        return chain.front(paces[number], Measures(rows, limits), below)[0]

    paces = [pace]
    best = at(0)
    latency = pace + best.measures[0]
    paces = [pace, *chain.paces(pace, latency - 1)] if latency - 1 > pace else paces
    spans = [(1, len(paces) - 1)]
    while spans:
        low, high = spans.pop()
        if low > high:
            continue
        slow = at(high)
        if paces[high] + slow.measures[0] < latency:
            best, latency = slow, paces[high] + slow.measures[0]
        if paces[low] + slow.measures[0] < latency and low < high:
            middle = (low + high) // 2
            spans += [(low, middle), (middle + 1, high - 1)]
    return best


def _limit(value: int | None) -> int:
    return NO_LIMIT if value is None else value
