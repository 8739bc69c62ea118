"""Any file into any observed table: one SELECT over the file, in a header that says what for.

-- Tickets of the service desk: one outage a ticket.
-- into: outages
-- reads: csv
-- knows: ticket, opened, closed
SELECT line_no, 'node' AS unit_kind, host AS unit, ... FROM input
"""

from flows.mapping.drafting import draft
from flows.mapping.header import Header, MappingError, read
from flows.mapping.source import Through, as_source, look

__all__ = ["Header", "MappingError", "Through", "as_source", "draft", "look", "read"]
