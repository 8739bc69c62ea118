"""A fleet small enough for the suite, and every question put to it; conftest lays its lake once."""

import pytest
from large_fleet import QUESTIONS, LargeFleet

from transforms.studies import STUDIES

FLEET = LargeFleet(nodes=96, days=30, incidents=3000)
ASKED = [
    pytest.param(study, options, id=" ".join([study.name, *options.values()]))
    for study in STUDIES
    for options in QUESTIONS.get(study.name, ({},))
]
