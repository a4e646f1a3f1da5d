"""Batch normalisation over the batch of all processes that train together."""

from __future__ import annotations

from torch import Tensor, distributed, no_grad
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNorm(_BatchNorm):
    """Of ``(batch, channels, ...)``; in training, means and variances are those of the whole batch.

    `torch.nn.SyncBatchNorm` does this on GPUs alone; here a run on CPUs gives the same.
    """

    def _check_input_dim(self, values: Tensor) -> None:
        """Take any number of dimensions."""

    def forward(self, values: Tensor) -> Tensor:
        """Same shape out as in."""
        if self.training and distributed.is_initialized():
            return self._normalised(values.float()).to(values.dtype)
        normalised: Tensor = super().forward(values)
        return normalised

    def _normalised(self, values: Tensor) -> Tensor:
        axes, shape = [0, *range(2, values.dim())], [1, -1] + [1] * (values.dim() - 2)
        count = values.numel() // values.shape[1] * distributed.get_world_size()
        mean = _sum(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / count
        self._remember(mean, variance * (count / (count - 1)))
        scale: Tensor = self.weight * (variance + self.eps).rsqrt()
        return centred * scale.view(shape) + self.bias.view(shape)

    @no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def _sum(values: Tensor) -> Tensor:
    """Over processes; gradients flow back to each of them."""
    summed: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed
