-- Some gaps as they are now.
select
    g.gap_id,
    g.instrument,
    g.stream,
    g.kind,
    g.from_time,
    g.to_time,
    g.first_missing,
    g.last_missing,
    g.attempts,
    g.state
from gaps as g
where g.gap_id = any(%(gap_ids)s)
order by g.gap_id;
