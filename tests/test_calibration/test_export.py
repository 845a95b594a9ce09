"""A calibrated network that is exported gives the same logits, or is refused."""

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from mmaslp import Calibrator

from .samples import maps

for library in ('onnx', 'onnxscript'):  # torch imports them, in two seconds
    if find_spec(library) is None:
        pytest.skip(f'needs {library}', allow_module_level=True)
runtime = pytest.importorskip('onnxruntime')

LINE = ([0.0, 16.0], [0.1, 5.0])
BENT = ([0.0, 1.0, 16.0], [0.01, 0.4, 6.0])
CALIBRATORS = {
    'one': Calibrator('platt', 'single', 'confidence', [LINE]),
    'by band': Calibrator(
        'isotonic', 'band', 'confidence', [BENT, LINE, BENT, LINE, BENT]
    ),
    'probability': Calibrator(
        'isotonic', 'band', 'probability', [([-16.0, 1.0, 16.0], [-5.0, 0.2, 4.0])] * 5
    ),
}


@cache
def images(number, height, width):
    """Logits of smooth objects, ``(N, 1, H, W)``."""
    prob, _ = maps(number, 160)
    logit = torch.from_numpy(prob).logit()[:, None].clamp(-9, 9)
    return nn.functional.interpolate(logit, (height, width), mode='bilinear')


def by_tracing(module, example, file, dynamic):
    axes = {0: 'n', 2: 'h', 3: 'w'} if dynamic == 'size' else {0: 'n'}
    names = dict(input_names=['x'], output_names=['y'])
    if dynamic:
        names['dynamic_axes'] = {'x': axes, 'y': axes}
    torch.onnx.export(module, (example,), file, dynamo=False, **names)


def by_dynamo(module, example, file, dynamic):
    shapes = {0: torch.export.Dim('n')} if dynamic else {}
    if dynamic == 'size':
        shapes |= {2: torch.export.Dim('h', min=2), 3: torch.export.Dim('w', min=2)}
    torch.onnx.export(
        module,
        (example,),
        file,
        dynamo=True,
        dynamic_shapes=((shapes,),),
        verbose=False,
    )


# The slow exporter; `torch.export`, which it begins with, is in each test run.
BY_DYNAMO = [
    pytest.param(name, by_dynamo, dynamic, marks=pytest.mark.release)
    for name in CALIBRATORS
    for dynamic in ('', 'batch', 'size')
]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('name', 'export', 'dynamic'),
    [*product(CALIBRATORS, [by_tracing], ('batch', 'size')), *BY_DYNAMO],
)
def test_onnx(tmp_path, name, export, dynamic):
    module = CALIBRATORS[name].wrap(nn.Identity()).eval()
    file, example = str(tmp_path / 'net.onnx'), images(2, 72, 96)
    by_band = module.table.shape[1] > 1
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            export(module, example, file, dynamic)
    except Exception:  # each exporter has its own errors
        assert by_band
        assert dynamic == 'size'
        return

    session = runtime.InferenceSession(file)
    (given,) = session.get_inputs()
    for size in ((2, 72, 96), (3, 72, 96), (2, 96, 72), (2, 64, 64), (1, 200, 170)):
        logit = images(*size)
        try:
            (found,) = session.run(None, {given.name: logit.numpy()})
        except Exception:
            same = size[1:] == (72, 96)
            assert size != (2, 72, 96)
            assert not (same and dynamic)
            assert dynamic != 'size' or by_band
            continue
        np.testing.assert_allclose(found, module(logit).numpy(), atol=1e-4)


@pytest.mark.parametrize('name', CALIBRATORS)
def test_torch_export(name):
    module = CALIBRATORS[name].wrap(nn.Identity()).eval()
    example = images(2, 72, 96)
    shapes = ({0: torch.export.Dim('n')},)
    program = torch.export.export(module, (example,), dynamic_shapes=(shapes,))
    for number in (2, 3):
        logit = images(number, 72, 96)
        torch.testing.assert_close(program.module()(logit), module(logit))


@pytest.mark.parametrize('name', CALIBRATORS)
def test_an_exported_graph_refuses_as_many_pixels_in_another_shape(name):
    """The guards of torch 2.1 do not look: a view of one size would take them."""
    module = CALIBRATORS[name].wrap(nn.Identity()).eval()
    program = torch.export.export(module, (images(1, 72, 96),))
    held = {**program.state_dict, **program.constants}
    lifted = [
        held[each.target]
        for each in program.graph_signature.input_specs
        if each.target is not None
    ]
    with pytest.raises(RuntimeError):
        torch.fx.Interpreter(program.graph_module).run(*lifted, images(1, 96, 72))
    found = torch.fx.Interpreter(program.graph_module).run(*lifted, images(1, 72, 96))
    torch.testing.assert_close(found[0], module(images(1, 72, 96)))
