"""Questions that need more than SQL: a study is one file here and one line below."""

from transforms.studies import (
    ageing,
    availability,
    blast,
    changes,
    checkpoint,
    climate,
    compare,
    detectors,
    domains,
    excursions,
    fabric,
    goodput,
    precursors,
    project,
    rates,
    recurrence,
    regress,
    relapses,
    sdc,
    slots,
    slow,
    survival,
    suspects,
    trend,
)
from transforms.studies.base import Asked, RefusalError, Study, signed

STUDIES: tuple[Study, ...] = (
    ageing.STUDY,
    availability.STUDY,
    blast.STUDY,
    changes.STUDY,
    checkpoint.STUDY,
    climate.STUDY,
    compare.STUDY,
    detectors.STUDY,
    domains.STUDY,
    excursions.STUDY,
    fabric.STUDY,
    goodput.STUDY,
    precursors.STUDY,
    project.STUDY,
    rates.STUDY,
    recurrence.STUDY,
    regress.STUDY,
    relapses.STUDY,
    sdc.STUDY,
    slots.STUDY,
    slow.STUDY,
    survival.STUDY,
    suspects.STUDY,
    trend.STUDY,
)
BY_NAME: dict[str, Study] = {study.name: study for study in STUDIES}

__all__ = ["BY_NAME", "STUDIES", "Asked", "RefusalError", "Study", "signed"]
