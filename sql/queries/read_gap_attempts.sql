-- What was tried to heal a gap, in order.
select
    a.attempt_id,
    a.gap_id,
    a.at,
    a.source,
    a.outcome,
    a.reason,
    a.rows_fetched,
    a.seconds,
    a.run_id
from gap_attempts as a
where a.gap_id = %(gap_id)s
order by a.attempt_id;
