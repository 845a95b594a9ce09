"""Methods to compare: the ``loss_decode`` and the ``custom_hooks`` of each.

``docs/methods.md`` explains them. Methods that draw have ``ASLPHook``: all heads share
the draw, and a resumed run repeats it. Those by band validate after every epoch,
because only a validation moves their levels.
"""

from typing import Any

_FIXED = dict(type='ASLPHook', levels='image', rule='fixed')


def _sc_bce(hook: dict | None = None, **kwargs: Any) -> dict[str, Any]:
    return dict(
        loss=dict(type='SCBCELoss', **kwargs), hook=dict(hook) if hook else None
    )


def _other(kind: str, hook: dict | None = None, **kwargs: Any) -> dict[str, Any]:
    return dict(loss=dict(type=kind, **kwargs), hook=hook)


METHODS: dict[str, dict] = {
    'bce': _sc_bce(),
    'ls_0.02': _sc_bce(eps=0.02),
    'ls_0.05': _sc_bce(eps=0.05),
    'ls_0.1': _sc_bce(eps=0.1),
    'ls_0.2': _sc_bce(eps=0.2),
    'disturblabel': _sc_bce(_FIXED, beta='HI', alpha=0.05, per_pixel=True),
    'slp_hi': _sc_bce(_FIXED, beta='HI', alpha=0.05),
    'slp_si': _sc_bce(_FIXED, beta='SI', alpha=0.05),
    'slp_m': _sc_bce(_FIXED, beta='M', alpha=0.05),
    'slp_dm': _sc_bce(_FIXED, beta='DM', alpha=0.05),
    'aslp_me': _sc_bce(dict(type='ASLPHook', levels='image', rule='ME'), beta='HI'),
    'aslp_mc': _sc_bce(dict(type='ASLPHook', levels='image', rule='MC'), beta='HI'),
    'aslp_fb': _sc_bce(dict(type='ASLPHook', levels='image', rule='FB'), beta='HI'),
    'aslp_fb_median': _sc_bce(
        dict(type='ASLPHook', levels='image', rule='FB', gap='median'), beta='HI'
    ),
    'aslp_fb_border': dict(
        _sc_bce(dict(type='ASLPHook', levels='border'), beta='HI'),
        val_interval=1,
    ),
    'focal': _other('BinaryFocalLoss', gamma=2.0),
    'brier': _other('BrierLoss'),
    'mbls': _other('MbLSLoss', margin=10.0, lam=0.1),
    'nacl': _other('NACLLoss', distance='l1', lam=0.1),
    'svls': _other('SVLSLoss', sigma=1.0),
    'crac': _other('CRaCLoss', dict(type='CRaCHook'), margin=5.0, rho=0.1),
    'ml1_ace': _other('ML1ACELoss', num_bins=20, ce_weight=0.5, ace_weight=0.5),
}
