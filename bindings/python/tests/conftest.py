import numpy as np
import pytest

import shoal


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def vectors(rng):
    """(1000, 16) float32."""
    return rng.standard_normal((1000, 16), np.float32)


@pytest.fixture
def index(vectors):
    """The vectors under the ids 1000 to 1999."""
    made = shoal.Index(16)
    made.add(np.arange(1000, 2000), vectors)
    return made
