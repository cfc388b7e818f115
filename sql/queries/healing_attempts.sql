-- The attempts of some runs, in order.
select
    a.gap_id,
    a.source,
    a.outcome,
    a.reason,
    a.rows_fetched,
    a.seconds
from gap_attempts as a
where a.run_id = any(%(run_ids)s)
order by a.attempt_id;
