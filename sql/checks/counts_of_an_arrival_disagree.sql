-- Arrivals whose records are not accepted, rejected or ignored: something was silently lost.
SELECT
    file,
    source,
    records,
    accepted,
    rejected,
    ignored
FROM arrivals
WHERE records <> accepted + rejected + ignored
ORDER BY file
