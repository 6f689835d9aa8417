"""The training methods of weights, by the name a recipe gives them; each file states its source, formulas and deviations."""

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.binarizers.biper import BiPer
from bwnhw.models.binarizers.cmim import Cmim
from bwnhw.models.binarizers.direct import Direct
from bwnhw.models.binarizers.group_power import GroupPower
from bwnhw.models.binarizers.lns import Lns
from bwnhw.models.binarizers.ovsw import Ovsw
from bwnhw.models.binarizers.proxconnectpp import BiReal, Bnn, BnnPlus, BnnPlusPlus, PolyPlusPlus
from bwnhw.models.binarizers.proximal import Parq, ProxConnect, ProxQuant, ReverseProxConnect
from bwnhw.models.binarizers.rbnn import Rbnn
from bwnhw.models.binarizers.siman import SiMaN
from bwnhw.models.binarizers.ste import Ste

BINARIZERS: dict[str, type[Binarizer]] = {
    "ste": Ste,
    "group-power": GroupPower,
    "proxconnect": ProxConnect,
    "proxquant": ProxQuant,
    "reverse-proxconnect": ReverseProxConnect,
    "parq": Parq,
    "ovsw": Ovsw,
    "bnn": Bnn,
    "bi-real": BiReal,
    "bnn+": BnnPlus,
    "bnn++": BnnPlusPlus,
    "poly++": PolyPlusPlus,
    "biper": BiPer,
    "cmim": Cmim,
    "direct": Direct,
    "lns": Lns,
    "rbnn": Rbnn,
    "siman": SiMaN,
}
