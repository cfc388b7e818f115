-- Some gaps, as they are now, and locked until the end of the transaction: who finds one locked passes it over, or waits.
select
    g.gap_id, g.instrument, g.stream, g.kind, g.from_time, g.to_time, g.first_missing, g.last_missing, g.cause, g.state, g.first_seen,
    g.attempts, g.last_reason
from gaps as g
where g.gap_id = any(%(gap_ids)s)
order by g.gap_id
for update;
