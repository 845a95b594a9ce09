"""Temporary: replaced by the branch `checks`."""

from ..datasets.listing import check_no_mixing as check_pipeline
from ..engine.hooks.validation import figure_keys
from .heads import refusal


def check_model(model):
    for module in model.modules():
        reason = refusal(type(module).__name__)
        if reason is not None:
            raise ValueError(reason)


def check_losses(losses):
    if not losses:
        raise ValueError(
            'ASLPHook found no SCBCELoss in the model: set '
            "loss_decode=dict(type='SCBCELoss') in decode_head (and auxiliary_head)"
        )
    betas = {loss.perturbation.beta for loss in losses}
    if len(betas) > 1:
        raise ValueError(
            'the SCBCELoss modules of the model have different strengths beta '
            f'{sorted(betas)}: one level per image needs the same in every head'
        )
    return betas.pop()


def metric_keys(runner, accuracy_key, needs_confidence):
    keys = figure_keys(runner, accuracy_key)
    if needs_confidence and 'confidence' not in keys:
        raise ValueError(
            "rule='FB' needs the confidence that CalibrationMetric measures: "
            'put it into val_evaluator and leave accuracy_key out'
        )
    return keys


__all__ = ['check_losses', 'check_model', 'check_pipeline', 'metric_keys']
