import torch

from mmaslp.losses.criterion import run_eagerly


def test_a_call_is_not_traced_and_the_rest_is():
    traced, graphs = [], []

    @run_eagerly
    def square(x):
        traced.append(torch.compiler.is_compiling())
        return x * x

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    def function(x):
        return square(x + 1).sum()

    x = torch.arange(3.0, requires_grad=True)
    compiled = torch.compile(function, backend=backend)
    for _ in range(2):  # traced, then called
        assert compiled(x) == function(x) == 14
    compiled(x).backward()
    assert x.grad.tolist() == [2, 4, 6]
    assert traced
    assert not any(traced)
    assert len(graphs) == 2  # before the call, and after it
