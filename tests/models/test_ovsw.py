"""OvSW's gradient hook: what AGS guarantees, and SAD along a scripted sequence of flips (METHODS 2.19)."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw.models.binarizers.ovsw import Ovsw as OvswWeights  # noqa: E402
from bwnhw.models.hooks.ovsw import Ovsw, rescaled  # noqa: E402

pytestmark = pytest.mark.train


def tensors(seed, shape=(40, 3, 3, 3)):
    rng = np.random.default_rng(seed)
    latent, gradient = (torch.from_numpy(rng.normal(size=shape).astype(np.float32)) for _ in range(2))
    sizes = torch.from_numpy(10 ** rng.uniform(-5, 1, size=(shape[0], 1, 1, 1)).astype(np.float32))
    return latent, gradient * sizes


@pytest.mark.parametrize("delta", [0.01, 0.04, 0.5])
def test_ags(delta):
    latent, gradient = tensors(0)
    edited = rescaled(gradient, latent, delta)
    ratio = edited.flatten(1).norm(dim=1) / latent.flatten(1).norm(dim=1)
    small = gradient.flatten(1).norm(dim=1) / latent.flatten(1).norm(dim=1) < delta
    assert 3 < small.sum() < 37
    assert (ratio >= delta * (1 - 1e-5)).all()
    assert torch.allclose(ratio[small], torch.tensor(delta), rtol=1e-5)
    assert torch.equal(edited[~small], gradient[~small])
    assert torch.allclose(nn.functional.cosine_similarity(edited.flatten(1), gradient.flatten(1)), torch.ones(40), atol=1e-5)


def test_ags_on_almost_no_gradient_and_almost_no_latent():
    latent, gradient = torch.full((2, 4), 5e-4), torch.full((2, 4), 5e-4)
    latent[0], gradient[1] = 1.0, 1e-9  # norms (2, 1e-3) and (1e-3, 2e-9)
    edited = rescaled(gradient, latent, 0.5)
    assert edited[0].norm().item() == pytest.approx(0.5 * 2)
    assert edited[1].norm().item() == pytest.approx(2e-9 * 0.5 * 1e-3 / 1e-6)  # below the least gradient: it stays small


def weights(latent):
    method = OvswWeights((1, len(latent)))
    method.latent.data.copy_(torch.tensor([latent]))
    return method


def sad(hook, method, latent):
    """Move the latents, apply the hook to zero gradients, and return what it added."""
    method.latent.data.copy_(torch.tensor([latent]))
    method.latent.grad = torch.zeros_like(method.latent)
    hook.apply()
    return method.latent.grad[0].tolist()


def test_sad_on_a_scripted_sequence():
    method = weights([0.5, -0.25, 1.0])
    hook = Ovsw([method], delta=0.0, decay=0.5)
    assert sad(hook, method, [0.5, -0.25, 1.0]) == [0.25, -0.125, 0.5]  # at the start all are silent
    assert sad(hook, method, [-0.5, -0.25, 1.0]) == [0.0, -0.125, 0.5]
    assert hook.trackers[0][0].tolist() == pytest.approx([1e-3, 0, 0])
    assert sad(hook, method, [-0.5, 0.0, -1.0]) == [0.0, 0.0, 0.0]
    assert hook.trackers[0][0].tolist() == pytest.approx([0.999e-3, 1e-3, 1e-3])


def test_one_flip_keeps_a_weight_awake_for_2302_steps():
    method = weights([1.0])
    hook = Ovsw([method], delta=0.0, decay=1.0)
    hook.trackers[0] = hook.trackers[0].double()
    sad(hook, method, [-1.0])
    steps = 1
    while sad(hook, method, [-1.0]) == [0.0]:
        steps += 1
    assert steps == 2302 == math.ceil(math.log(1e-3 / 1e-4) / -math.log(0.999))


def test_awake_at_the_start():
    method = weights([1.0, -1.0])
    assert sad(Ovsw([method], delta=0.0, awake=True), method, [1.0, -1.0]) == [0, 0]


def test_the_decay_isnt_rescaled_by_ags():
    method = weights([3.0, 4.0])
    hook = Ovsw([method], delta=0.1, decay=0.5)
    method.latent.grad = torch.tensor([[0.0, 0.01]])
    hook.apply()
    assert method.latent.grad[0].tolist() == pytest.approx([1.5, 0.5 + 2.0])  # |w| = 5, so |g| becomes 0.5; then 0.5 · w


def train(hook_of):
    torch.manual_seed(0)
    method = OvswWeights((5, 12))
    hook = hook_of(method)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        (torch.randn(8, 12) @ method().T).square().mean().backward()
        if hook:
            hook.apply()
        optimizer.step()
    return method.latent.detach()


def test_switched_off_it_is_plain_training_bit_for_bit():
    plain = train(lambda method: None)
    assert torch.equal(plain, train(lambda method: Ovsw([method], delta=0.0, decay=0.0)))
    assert not torch.equal(plain, train(lambda method: Ovsw([method], delta=0.0, decay=0.1)))
    assert not torch.equal(plain, train(lambda method: Ovsw([method], delta=5.0, decay=0.0)))


def test_state_goes_on_where_it_stopped():
    method = weights([1.0, 1.0])
    first, second = Ovsw([method], delta=0.0), Ovsw([method], delta=0.0)
    sad(first, method, [-1.0, 1.0])
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.trackers[0], first.trackers[0]) and torch.equal(second.before[0], first.before[0])
    assert sad(first, method, [1.0, -1.0]) == sad(second, method, [1.0, -1.0])


def test_a_latent_without_gradient_is_left_alone():
    method = weights([1.0])
    Ovsw([method]).apply()
    assert method.latent.grad is None


def test_scales():
    torch.manual_seed(0)
    method = OvswWeights((8, 4000), scale="channel")
    method.latent.data += 3
    assert method.scale().shape == (8, 1)
    assert torch.allclose(method.scale(), torch.full((8, 1), math.sqrt(2 / math.pi)), atol=0.03)  # of a normal distribution
    assert not method.scale().requires_grad
    assert OvswWeights((2, 3)).scale().item() == 1


def test_train_and_eval_are_the_same_forward():
    method = OvswWeights((4, 7), scale="channel")
    assert torch.equal(method.train()(), method.eval()())
    assert np.array_equal(method.export_bits()[0], np.where(method.latent.detach().numpy() >= 0, 1, -1))
