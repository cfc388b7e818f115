-- The verdicts on the bars of one instrument and interval.
select
    instrument,
    interval,
    bar_start,
    status,
    rule,
    to_json(fields) as fields,
    ours,
    theirs,
    known_at
from bar_conformance
where instrument = %(instrument)s and interval = %(interval)s and bar_start >= %(since)s and bar_start < %(until)s
order by bar_start;
