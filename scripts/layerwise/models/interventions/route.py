"""``route``: a path that was trained on a task adds to the last block's output at each text's last token.

:mod:`layerwise.models.interventions.route_paths` has the kinds of paths.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from layerwise.config.base import Name, Section
from layerwise.errors import InputError
from layerwise.models.interventions.kind import FILE, How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

    from layerwise.models.interventions.route_paths import Route

# By the block that a route reads the image's tokens from, its output for the prefix that texts share, and which of the
# prefix's tokens are the image's. The texts run in passes of their own, with hooks of their own.
_IN_PREFIX: "WeakKeyDictionary[nn.Module, tuple[Tensor, Tensor]]" = WeakKeyDictionary()


class Entry(Section):
    """Add what a trained route reads below the top to the last block's output, at the last token. The route is trained
    on the same model without it."""

    name: Name
    """The route, an entry of `used.routes`."""


def _check(where: str, how: How, n_layers: int | None) -> None:
    """Whether there is such a route, and whether it fits the model, is checked with `used.routes`."""


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    from layerwise.models.interventions.route_paths import read_route

    with routed(blocks, read_route(how[FILE]), tokens):
        yield


@contextmanager
def routed(blocks: "Sequence[nn.Module]", route: "Route", tokens: Tokens) -> Iterator[None]:
    """Add what a route gives to the last block's output while a forward pass runs.

    Args:
        blocks: the decoder's.
        route: for a decoder of so many blocks and that width.
        tokens: of the pass.

    Raises:
        InputError: when the route is of a decoder of another size, or reads an image that is not there.
    """
    import torch

    from layerwise.models.frozen import hidden_out

    if route.shape["n_layers"] != len(blocks):
        raise InputError(
            f"the route is for {route.shape['n_layers']} blocks, and the model has {len(blocks)}; train it on this one"
        )
    source = None if route.image_block is None else blocks[route.image_block - 1]
    any_last = bool(tokens.last.any())
    at_last: dict[int, Tensor] = {}
    of_image: list[tuple[Tensor, Tensor]] = []

    def keep_last(number: int, hidden: "Tensor") -> None:
        at_last[number] = hidden[tokens.last.to(hidden.device)]

    def keep_image(_number: int, hidden: "Tensor") -> None:
        if tokens.image is not None:
            of_image.append((hidden, tokens.image))

    def kept(number: int, by: Any) -> Any:
        return lambda _block, _args, output: by(number, hidden_out(output))

    def add(_block: "nn.Module", _args: tuple, output: Any) -> Any:
        if not any_last:
            # The texts that share this prefix come next.
            if source is not None and of_image:
                _IN_PREFIX[source] = of_image[0]
            return output
        hidden = hidden_out(output)
        keep_last(len(blocks), hidden)
        # Blocks may be on several devices.
        last = torch.stack([at_last[number].to(hidden.device).float() for number in route.blocks], dim=1)
        route.to(hidden.device)
        if source is None:
            added = route(last)
        else:
            found = of_image if tokens.before is None else [_IN_PREFIX[source]]
            if not found or not found[0][1].any(1).all():
                raise InputError("the route reads the image's tokens, and a text has none; name other prompts")
            image, seen = (part.to(hidden.device) for part in found[0])
            added = route(last, image.float(), seen, tokens.last.nonzero()[:, 0].to(hidden.device))
        changed = hidden.clone()
        changed[tokens.last.to(hidden.device)] += added.to(hidden.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    with ExitStack() as hooks:
        for number in set(route.blocks) - {len(blocks)} if any_last else ():
            hook = blocks[number - 1].register_forward_hook(kept(number, keep_last), prepend=True)
            hooks.callback(hook.remove)
        if source is not None and tokens.before is None:
            hook = source.register_forward_hook(kept(0, keep_image), prepend=True)
            hooks.callback(hook.remove)
        hooks.callback(blocks[-1].register_forward_hook(add, prepend=True).remove)
        yield


KIND = InterventionKind(name="route", touches_image=False, check=_check, apply=_apply, fitted="route")
