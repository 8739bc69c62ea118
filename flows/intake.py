"""Files and members of archives, one after the other, until a batchful is written to the lake.

An archive is a folder in one file: each member is a file of its own, cited as `logs.tar.gz!n1/kern`,
known by the hash of its own bytes and kept by itself. The archive's own arrival comes last, and
only when nothing in it is left to do, so that a run that was killed inside goes on where it was.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from types import TracebackType

from flows import bulk, filing, identity, known, landing, packing, reports, trees
from flows.arrived import Arrived
from flows.errors import RefusedError, TornError
from flows.holding import Held, hold, hold_bytes, hold_member
from flows.lake import Lake
from flows.landing import ARCHIVE, Found
from flows.packing import Member
from flows.reading import Options, Taken, origin_of, own_time, recalled, refused, take
from flows.reports import FileReport, IngestReport
from flows.settings import Settings
from flows.waiting import Many
from transforms.sources.base import Parsed

BATCH_BYTES = 64 * 1024**2
ROWS_BYTES = 192 * 1024**2  # of samples that are written in one go
SPOOLED_BYTES = 2 * 1024**3  # of samples on the disk, of which one partition is read at a time
DEEPEST = 2  # an archive in an archive
EMPTY = "empty file"


class Intake:
    """Takes files one by one; what was taken is in the lake when the block is left."""

    def __init__(
        self,
        lake: Lake,
        options: Options,
        said: Settings,
        now: datetime,
        file_away: filing.FileAway = filing.file_away,
    ) -> None:
        self._lake, self._options, self._said, self._now = lake, options, said, now
        self._file_away = file_away
        self._arrived = Arrived(lake)
        self._known: dict[str, str] = {}
        self._staging = None if options.is_dry_run else lake.staging
        self._taken: list[Taken] = []
        self._weight = 0
        self._many = Many(options, said, self._staging)
        self._files: list[FileReport] = []
        self._gained: Counter[str] = Counter()

    def __enter__(self) -> "Intake":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            self._read_many()
            self._write()
        self._many.close()
        self._drop()

    def report(self) -> IngestReport:
        return IngestReport(self._files, dict(self._gained))

    def take_landed(self, held: Held, source: str) -> None:
        """Take one file whose bytes the lake has kept."""
        if self._is_new(held):
            self._take(held, source)

    def expect(self, files: Sequence[Found], source: str) -> None:
        """Be told which files come next: readers of many learn from how they begin."""
        bulk.acquaint(files, source, self._options, self._said)

    def receive(self, found: Found, source: str) -> None:
        """Take one file that `source` reads, or every member of an archive."""
        try:
            one = self._many.hold(found, source) if known.is_bulk(source) else hold(found)
            held = self._identified(one, source)
        except (OSError, ValueError, OverflowError) as error:
            reason = landing.why_unreadable(error) if isinstance(error, OSError) else str(error)
            self._tell(found.name, "refused", reason)
            return
        if self._is_new(held):
            if source == ARCHIVE:
                self._unpack(held, 1)
            else:
                self._take(held, source)

    def _identified(self, held: Held, source: str) -> Held:
        """Known as the lake knows it already, where samples were once known by SHA-256."""
        if not held.digest:
            held = held.identified(known.is_bulk(source))
        if held.size in self._arrived.old_sizes and identity.is_of_bulk(held.digest):
            old = held.identified(is_bulk=False)
            return old if self._arrived.get(old.digest) else held
        return held

    def _is_new(self, held: Held) -> bool:
        known = self._known.get(held.digest)
        if known is None and not self._options.is_again:
            known = (self._arrived.get(held.digest) or {}).get("source")
        if known is not None:
            self._files.append(FileReport(held.name, known, "already here"))
            self._many.buffers.give_back(held.data)
            held.close()
        return known is None

    def _tell(self, file: str, status: str, reason: str = "") -> FileReport:
        self._files.append(FileReport(file, "", status, reasons={reason: 1} if reason else {}))
        return self._files[-1]

    def _take(self, held: Held, source: str) -> None:
        self._known[held.digest] = source
        reader = known.named(source, self._options)
        options = self._options
        if reader.bulk and not options.is_again:
            self._line_up(held, source)
            return
        if options.is_again:
            options = recalled(self._arrived.get(held.digest) or {"told": None}, options)
        one = take(held, reader, options, self._said, self._staging)
        self._files.append(reports.of_file(one))
        self._keep(one)

    def _line_up(self, held: Held, source: str) -> None:
        """Put off a file of a source that reads many at once, until there are many."""
        if self._many.source != source:
            self._read_many()
        self._many.add(held, source)
        if self._many.is_full:
            self._read_many()

    def _read_many(self) -> None:
        taken = self._many.read()
        self._files += [reports.of_file(one) for one in taken]
        self._keep(*taken)

    def _keep(self, *taken: Taken) -> None:
        if self._options.is_dry_run:
            for one in taken:
                one.close()
            return
        self._taken += taken
        self._weight += sum(map(_weight, taken))
        if self._weight >= BATCH_BYTES:
            self._write()

    def _write(self) -> None:
        try:
            if self._taken:
                self._gained.update(self._file_away(self._lake, self._taken, self._now))
        finally:
            self._drop()

    def _drop(self) -> None:
        for one in self._taken:
            one.close()
        self._taken, self._weight = [], 0

    # archives

    def _unpack(self, archive: Held, depth: int) -> None:
        """Take every member; refuse, by name, what is missing of the archive."""
        self._known[archive.digest] = ARCHIVE
        self._read_many()
        began, count = len(self._files), 0
        tree: dict[str, dict[str, bytes]] = {}
        missing: list[tuple[str, str]] = []
        try:
            for member in packing.members(archive.text(), archive.opened, archive.budget):
                count += 1
                if why := self._member(archive, member, depth, tree):
                    missing.append((why, member.name))
        except TornError as error:
            missing = [(f"{error} ({max(count - len(missing), 0)} members read)", "")]
        except RefusedError as error:
            missing.append((str(error), ""))
        for folder, values in sorted(tree.items()):
            self._tree(archive, folder, values, depth)
        self._read_many()
        at = origin_of(archive, self._options, self._said).modified
        is_done = not missing and all(file.is_fine for file in self._files[began:])
        if missing:
            one = refused(archive, ARCHIVE, at, missing)
        else:
            one = Taken(archive, ARCHIVE, at, Parsed({}), not is_done)
        told = replace(reports.of_file(one), status="refused" if missing else "read")
        self._files.insert(began, replace(told, rows={"members": count}))
        self._keep(one)

    def _member(
        self, archive: Held, member: Member, depth: int, tree: dict[str, dict[str, bytes]]
    ) -> str:
        """Take one member; return why it cannot be read at all, if so."""
        name = f"{archive.name}!{member.name}"
        steps = [step for step in member.name.split("/") if step not in ("", ".", "..")]
        if any(step.startswith(".") for step in steps):
            return ""
        if landing.is_beside_the_point(member.name):
            self._tell(name, "skipped")
            return ""
        if member.stream is None:
            if not member.is_loss:
                self._tell(name, "skipped", member.trouble)
                return ""
            return member.trouble
        if part := trees.split("/".join(steps)):
            with suppress(TornError):
                tree.setdefault(part[0], {})[part[1]] = member.stream.read(trees.LONGEST_VALUE)
            return ""
        try:
            at = own_time(member.modified, archive.modified)
            held = hold_member(name, member.stream, at, archive.budget, self._staging)
        except TornError as error:
            return str(error)
        self._sort(held, depth)
        return ""

    def _tree(self, archive: Held, folder: str, values: dict[str, bytes], depth: int) -> None:
        name = "!".join((archive.name, folder)) if folder else archive.name
        if trees.has_ports(values):
            data = trees.bundle(values.items())
            self._sort(hold_bytes(name, data, archive.modified, archive.budget), depth)
        else:
            for path, value in values.items():
                one = hold_bytes(f"{name}/{path}", value, archive.modified, archive.budget)
                self._sort(one, depth)

    def _sort(self, held: Held, depth: int) -> None:
        """Say what a member is and take it."""
        head = held.head()
        if not held.size:
            self._tell(held.name, "skipped", EMPTY)
        elif landing.is_archive(head):
            if depth >= DEEPEST:
                why = f"an archive {DEEPEST} archives deep: unpack it and name what is inside"
                self._tell(held.name, "refused", why)
            elif self._is_new(held := self._identified(held, ARCHIVE)):
                self._unpack(held, depth + 1)
                return
        elif forced := known.forced(self._options):
            if self._is_new(held := self._identified(held, forced.name)):
                self._take(held, forced.name)
                return
        else:
            sure = landing.recognise(head, held.name, known.sources(self._options).values())
            if len(sure) != 1:
                self._tell(held.name, *landing.why_not(sure))
            elif self._is_new(held := self._identified(held, sure[0].name)):
                self._take(held, sure[0].name)
                return
        held.close()


def _weight(one: Taken) -> int:
    """How far one file fills the batch that is written in one go, in bytes of BATCH_BYTES.

    Of samples the rows count, which are few beside their text: each time an hour is written anew
    costs as much as reading what comes to it.
    """
    is_bulk = known.is_bulk(one.source)
    if one.spool:
        return one.spool.size() * BATCH_BYTES // SPOOLED_BYTES if is_bulk else BATCH_BYTES
    if is_bulk:
        rows = sum(int(frame.estimated_size()) for frame in one.parsed.frames.values())
        return len(one.held.data or b"") + rows * BATCH_BYTES // ROWS_BYTES
    return one.held.size
