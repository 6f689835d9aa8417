"""The losses kurtosis, cmim, lns and sine: METHODS 2.10, 2.12, 2.13 and 2.17."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw.models.binarizers.biper import BiPer  # noqa: E402
from bwnhw.models.binarizers.lns import Lns  # noqa: E402
from bwnhw.models.binarizers.ste import Ste  # noqa: E402
from bwnhw.models.layers import BinaryConv2d, BinaryLinear, SignAct  # noqa: E402
from bwnhw.models.losses.base import StepView  # noqa: E402
from bwnhw.models.losses.cmim import MutualInformation, contrast  # noqa: E402
from bwnhw.models.losses.kurtosis import Kurtosis, kurtosis, raw_kl, softened_kl  # noqa: E402
from bwnhw.models.losses.lns import NoisySigns, corrected  # noqa: E402
from bwnhw.models.losses.sine import Sine  # noqa: E402
from bwnhw.models.losses.teacher import Teacher  # noqa: E402

pytestmark = pytest.mark.train

COUNT = 50


def small(make=Ste):
    torch.manual_seed(0)
    return nn.Sequential(BinaryConv2d(1, 4, make), nn.BatchNorm2d(4), SignAct(), BinaryConv2d(4, 4, make), nn.BatchNorm2d(4), SignAct(),
                         nn.Flatten(), BinaryLinear(64, 10, make))


def view(network, seed=0, index=None, progress=0.0):
    torch.manual_seed(seed)
    images, labels = torch.randn(8, 1, 4, 4), torch.randint(10, (8,))
    features = network[:-1](images)
    index = torch.arange(8) * 3 if index is None else index
    return StepView(index, images, labels, features, network[-1](features), progress)


# BD-BNN

@pytest.mark.parametrize(("values", "expected", "within"), [
    (np.repeat([-1.0, 1.0], 500), 1.0, 1e-12),
    (np.linspace(-1, 1, 100_001), 1.8, 1e-4),
    (np.random.default_rng(0).normal(size=1_000_000), 3.0, 0.03),
    (np.random.default_rng(0).laplace(size=1_000_000), 6.0, 0.15),
], ids=["two points", "uniform", "gaussian", "laplace"])
def test_kurtosis_of_known_distributions(values, expected, within):
    w = torch.from_numpy(values)
    assert kurtosis(w).item() == pytest.approx(expected, abs=within)
    assert kurtosis(5 - 3 * w).item() == pytest.approx(kurtosis(w).item())


def test_kurtosis_loss_leaves_out_the_first_layer_and_is_zero_at_its_target():
    network = small()
    loss = Kurtosis(network, COUNT, 64, strength=2.0)
    found = loss(view(network))
    expected = [2.0 * (kurtosis(network[index].weight.latent) - 1.8) ** 2 for index in (3, 7)]
    assert found.item() == pytest.approx((sum(expected) / 2).item())
    found.backward()
    assert network[0].weight.latent.grad is None and network[3].weight.latent.grad.abs().sum() > 0
    with torch.no_grad():
        for index in (3, 7):
            latent = network[index].weight.latent
            latent.copy_(torch.linspace(-1, 1, latent.numel()).reshape(latent.shape))
    assert loss(view(network)).item() < 1e-3


def test_the_two_forms_of_the_weights_divergence():
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 4, 3, 3, dtype=torch.float64), torch.randn(5, 4, 3, 3, dtype=torch.float64)
    assert raw_kl(student, teacher).item() == pytest.approx((teacher.exp() * (teacher - student)).mean().item())
    p, q = (torch.softmax(w / 6, dim=1) for w in (student, teacher))
    assert softened_kl(student, teacher, 6.0).item() == pytest.approx(36 * (q * (q / p).log()).mean().item())
    assert softened_kl(teacher, teacher, 6.0).item() == raw_kl(teacher, teacher).item() == 0
    assert softened_kl(student, teacher, 6.0) > 0


@pytest.mark.parametrize("raw", [False, True])
def test_a_teacher_pulls_the_students_convolutions_only_where_they_differ(raw):
    network = small()
    loss = Kurtosis(network, COUNT, 64, strength=0.0, teacher=True, alpha=0.0, raw_weights=raw)
    step = view(network)
    own = loss.teacher(step)[0]
    assert loss(step).item() == pytest.approx(own.item(), rel=1e-6)  # the teacher starts from the same latents
    with torch.no_grad():
        loss.teacher.network[3].weight.latent.add_(torch.randn(4, 4, 3, 3))
    loss(view(network)).backward()
    assert network[3].weight.latent.grad.abs().sum() > 0
    assert network[7].weight.latent.grad is None or network[7].weight.latent.grad.abs().sum() == 0


def test_the_teachers_soft_labels():
    network = small()
    plain, taught = (Kurtosis(network, COUNT, 64, strength=0.0, teacher=True, beta=0.0, alpha=alpha) for alpha in (0.0, 0.5))
    step = view(network)
    soft = plain.teacher(step)[2].softmax(1)
    expected = -0.5 * (soft * step.scores.log_softmax(1)).sum(1).mean()
    assert (taught(step) - plain(step)).item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_teacher_is_real_learns_and_gives_the_student_no_gradient():
    network = small()
    teacher = Teacher(network)
    own, features, scores = teacher(view(network))
    assert features.shape == (8, 64) and scores.shape == (8, 10) and not features.requires_grad and not scores.requires_grad
    assert len(features.unique()) > 20
    own.backward()
    assert all(parameter.grad is not None for parameter in teacher.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


# CMIM

def test_contrast_falls_when_the_own_row_is_more_similar():
    torch.manual_seed(0)
    similar = torch.rand(6, 11) * 0.4 - 0.2
    values = []
    for gain in (0.0, 0.2, 0.5):
        raised = similar.clone()
        raised[:, 0] += gain
        values.append(contrast(raised, torch.tensor(50.0), 50).item())
    assert values[0] > values[1] > values[2]
    raised = similar.clone()
    raised[:, 3] += 0.3
    assert contrast(raised, torch.tensor(50.0), 50).item() > values[0]


def test_contrast_by_hand():
    similar = torch.tensor([[0.1, 0.0, -0.1]], dtype=torch.float64)
    p, c = np.exp([1.0, 0.0, -1.0]) / 40, 2 / 50
    expected = -(math.log(p[0] / (p[0] + c)) + math.log(c / (p[1] + c)) + math.log(c / (p[2] + c)))
    assert contrast(similar, torch.tensor(40.0, dtype=torch.float64), 50).item() == pytest.approx(expected)


def test_banks_keep_unit_rows_and_only_the_batchs_move():
    network = small()
    loss = MutualInformation(network, COUNT, 64, negatives=20)
    before = loss.student_bank.clone()
    loss(view(network))
    for bank in (loss.student_bank, loss.teacher_bank):
        assert torch.allclose(bank.norm(dim=1), torch.ones(COUNT), atol=1e-6)
    moved = (loss.student_bank != before).any(dim=1)
    assert moved.nonzero()[:, 0].tolist() == list(range(0, 24, 3))


def test_a_bank_row_moves_half_way():
    network = small()
    loss, step = MutualInformation(network, COUNT, 64, negatives=20), view(network)
    u = nn.functional.normalize(loss.project_student(step.features)).detach()
    expected = nn.functional.normalize(0.5 * loss.student_bank[step.index] + 0.5 * u)
    loss(step)
    assert torch.allclose(loss.student_bank[step.index], expected)


def test_z_is_fixed_by_the_first_batch():
    network = small()
    loss = MutualInformation(network, COUNT, 64, negatives=20)
    loss(view(network))
    z = loss.z.clone()
    assert (z > 0).all()
    loss(view(network, seed=1))
    assert torch.equal(loss.z, z)


def test_mutual_information_reaches_student_teacher_and_projections():
    network = small()
    loss = MutualInformation(network, COUNT, 64)
    assert loss.negatives == COUNT - 1
    loss(view(network)).backward()
    assert network[3].weight.latent.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in loss.parameters())


# LNS

@pytest.mark.parametrize(("plus", "minus"), [(0.0, 0.0), (0.1, 0.1), (0.3, 0.05)])
def test_the_corrected_losss_mean_over_the_noise_is_the_clean_loss(plus, minus):
    z = torch.linspace(-4, 4, 41, dtype=torch.float64)
    for true, flip in ((1.0, plus), (-1.0, minus)):
        y = torch.full_like(z, true)
        mean = (1 - flip) * corrected(z, y, plus, minus) + flip * corrected(z, -y, plus, minus)
        assert torch.allclose(mean, nn.functional.softplus(-y * z), atol=1e-12)


def test_noisy_signs_begin_after_the_warm_up_and_fade():
    network = small(Lns)
    loss = NoisySigns(network, COUNT, 64, strength=0.5)
    assert loss(view(network)).item() == 0
    for layer in (network[0], network[3], network[7]):
        layer.weight.advance(0.5)
    early, late = (loss(view(network, progress=progress)) for progress in (0.5, 0.9))
    terms = [corrected(layer.weight.carrier(), layer.weight.targets, 0.1, 0.1).mean() for layer in (network[0], network[3], network[7])]
    assert early.item() == pytest.approx(0.25 * torch.stack(terms).mean().item())
    assert late.item() == pytest.approx(early.item() / 5)
    early.backward()
    assert all(parameter.grad is not None for parameter in network[3].weight.leave.parameters())


# BiPer

def test_sine_is_the_published_term_and_pulls_to_the_zeros_of_the_sine():
    network = small(BiPer)
    loss = Sine(network, COUNT, 64, tau=0.5)
    latents = [network[index].weight.latent for index in (0, 3, 7)]
    found = loss(view(network))
    assert found.item() == pytest.approx(sum(0.5 * (0.5 - 0.5 * torch.cos(40 * w)).mean().item() for w in latents), rel=1e-5)
    found.backward()
    with torch.no_grad():
        for w in latents:
            w -= 1e-3 * w.grad.sign()
    assert loss(view(network)).item() < found.item()


@pytest.mark.parametrize(("make", "message"), [(Sine, "biper"), (NoisySigns, "lns")])
def test_losses_of_one_binarizer_need_it(make, message):
    with pytest.raises(ValueError, match=f"for the binarizer {message}, and the network has none"):
        make(small(), COUNT, 64)


@pytest.mark.parametrize(("make", "options"), [(NoisySigns, {"rho": 0.5}), (MutualInformation, {"negatives": 0})])
def test_impossible_options(make, options):
    with pytest.raises(ValueError, match="found"):
        make(small(Lns), COUNT, 64, **options)
